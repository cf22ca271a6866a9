"""A job whose queue no worker serves says so: over the API, in its form, when it is saved, and on its page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from jobs import services
from jobs.core.dispatches import new_dispatch_id
from jobs.core.runs import DISPATCHED
from jobs.selectors.backlog import stuck_runs
from jobs.selectors.waiting import Waiting
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_worker
from tests.integration.admin_support import JOBS, RUNS, Admin, admin_fixture, at_noon_fixture, messages, text  # noqa: F401
from tests.integration.api_client import Api

pytestmark = pytest.mark.django_db
JOB = "/scheduler/jobs/job"
UNSERVED = "No worker serves the queue reports: the job stays due until one does."


@pytest.fixture(autouse=True)
def broker(settings: Any) -> None:
    """Have a broker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}


HOURLY = {"type": "interval", "hours": 1}


def remote_job(job_id: str = "job") -> None:
    """Write a job of the queue that a worker of `make_worker` serves."""
    make_job(job_id, executor="celery", queue="reports", trigger=HOURLY)


def warnings_of(api: Api) -> list[dict[str, str]]:
    found: list[dict[str, str]] = api.get(JOB)["warnings"]
    return found


def test_a_job_is_warned_of_until_a_living_worker_serves_its_queue(api: Api, clock: FakeClock) -> None:
    remote_job()
    assert warnings_of(api) == [{"code": "no_worker", "message": UNSERVED}]
    make_worker(queues=["mail"])
    assert len(warnings_of(api)) == 1
    make_worker("w2", lease_until=after(15))
    assert warnings_of(api) == []
    clock.advance(16)
    assert len(warnings_of(api)) == 1


def test_a_job_is_warned_of_while_the_setting_is_missing(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": ""}
    remote_job()
    make_worker()
    assert "CELERY_BROKER_URL" in warnings_of(api)[0]["message"]


def test_a_list_of_many_jobs_asks_for_the_workers_once(api: Api, statements: Any) -> None:
    for number in range(5):
        remote_job(f"job-{number}")
    with statements() as found:
        shown = api.get("/scheduler/jobs?fields=warnings")
    assert [job["warnings"][0]["code"] for job in shown] == ["no_worker"] * 5
    assert sum("cronzimus_worker" in sql for sql in found) == 1


def test_other_jobs_ask_for_no_worker(api: Api, statements: Any) -> None:
    make_job(trigger=HOURLY)
    with statements() as found:
        assert warnings_of(api) == []
    assert not any("cronzimus_worker" in sql for sql in found)


def test_the_form_and_the_message_after_it_warn(admin: Admin) -> None:
    remote_job()
    assert UNSERVED in admin.read(f"{JOBS}job/edit/")
    response = admin.save(f"{JOBS}job/edit/", queue="mail")
    assert "No worker serves the queue mail" in str(messages(response))


def test_every_page_names_the_command_that_starts_a_worker_for_the_queue(admin: Admin) -> None:
    remote_job()
    command = "celery -A cronzimus_site worker -Q reports"
    assert command in admin.read(JOBS)


def test_the_page_of_a_run_names_its_worker(admin: Admin) -> None:
    run = make_run(executor="celery", queue="reports", scheduler_id="w1", status="running", started_at=NOW)
    assert "Worker w1" in text(admin.read(f"{RUNS}{run.pk}/change/"))
    make_worker(name="reports@host")
    assert "Worker reports@host w1" in text(admin.read(f"{RUNS}{run.pk}/change/"))


def test_the_page_of_a_job_warns(admin: Admin) -> None:
    remote_job()
    assert UNSERVED in admin.read(f"{JOBS}job/change/")
    make_worker()
    assert "serves the queue" not in admin.read(f"{JOBS}job/change/")


@pytest.mark.parametrize("sent_at", [after(-100), None])
def test_runs_that_were_left_behind_when_the_setting_was_removed_are_named_and_can_be_cancelled(
    admin: Admin, settings: Any, sent_at: datetime | None
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": ""}
    run = make_run(
        executor="celery", queue="reports", scheduler_id=DISPATCHED, dispatched_at=sent_at,
        dispatch_id=new_dispatch_id(after(-100)), dispatches=1, queued_at=after(-100),
    )  # fmt: skip
    assert (
        "CELERY_BROKER_URL is not set here, and 1 run waits for workers of the queue reports. "
        "Set it again, or cancel what is left."
    ) in text(admin.read(JOBS))
    assert stuck_runs(NOW).number == 1
    assert Waiting(NOW).of_run(run) == "schedulers with CELERY_BROKER_URL: it is not set here"
    services.cancel_run(run.pk, now=NOW)
    assert "CELERY_BROKER_URL" not in text(admin.read(JOBS))
