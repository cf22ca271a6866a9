"""A queued run of a worker says what it waits for: on its page, and over the API, in the same words."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.core.dispatches import new_dispatch_id
from tests.fakes import NOW, after, make_run, make_worker
from tests.integration.admin_support import RUNS, Admin, admin_fixture, at_noon_fixture, text  # noqa: F401
from tests.integration.api_client import Api

pytestmark = pytest.mark.django_db
BROKER, SLOT = "the broker", "a free slot of a worker"
NO_WORKER = "a worker: none serves the queue reports"
STOPS = "a worker: the last one of the queue reports was told to stop"
NO_SETTING = "schedulers with CELERY_BROKER_URL: it is not set here"
ON_ITS_WAY = {"scheduler_id": "celery", "dispatched_at": NOW}
WAITS_FOR_BROKER = {"scheduler_id": "celery", "dispatches": 1}
SAME_BROKER = "does it use the same CELERY_BROKER_URL as the schedulers?"
NOT_TAKEN = f"a worker: 1 message was sent to the queue reports and not taken, though one is free: {SAME_BROKER}"
SENT_AGAIN = f"a worker: 3 messages were sent to the queue reports and not taken, though one is free: {SAME_BROKER}"
OUTAGE = "the broker: it has taken no message for the queue reports since 2030-01-01 11:58:59 UTC"


@pytest.fixture(autouse=True)
def broker(settings: Any) -> None:
    """Have a broker."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}


def remote(**fields: Any) -> Any:
    """Write a queued run of the queue that a worker of `make_worker` serves."""
    return make_run(**{"executor": "celery", "queue": "reports", **fields})


WAITS = [
    ("not published", {"scheduler_id": "celery"}, True, BROKER),
    ("not published, and no worker", {"scheduler_id": "celery"}, False, BROKER),
    ("published", ON_ITS_WAY, True, SLOT),
    ("published, and no worker", ON_ITS_WAY, False, NO_WORKER),
    ("not published for a minute", WAITS_FOR_BROKER | {"dispatch_id": new_dispatch_id(after(-60))}, True, BROKER),
    ("not published for longer", WAITS_FOR_BROKER | {"dispatch_id": new_dispatch_id(after(-61))}, False, OUTAGE),
    ("published a minute ago", ON_ITS_WAY | {"dispatched_at": after(-60), "dispatches": 1}, True, SLOT),
    ("published before", ON_ITS_WAY | {"dispatched_at": after(-61), "dispatches": 1}, True, NOT_TAKEN),
    ("published before, and no worker", ON_ITS_WAY | {"dispatched_at": after(-61)}, False, NO_WORKER),
    ("published again", ON_ITS_WAY | {"dispatches": 3}, True, SENT_AGAIN),
    ("not dispatched, and no worker", {}, False, NO_WORKER),
    ("not dispatched", {}, True, None),
    ("a retry whose time has not come", {"available_at": after(9)}, False, None),
    ("a retry whose time has come", {"available_at": after(-9)}, False, NO_WORKER),
    ("running", {"status": "running", "scheduler_id": "w1", "started_at": NOW}, False, None),
    ("of a scheduler", {"executor": "process", "queue": None, "scheduler_id": "s1"}, False, None),
]
"""Runs, whether a worker serves their queue, and what they wait for."""


@pytest.mark.parametrize(("fields", "is_served", "awaited"), [case[1:] for case in WAITS], ids=[c[0] for c in WAITS])
def test_the_page_and_the_api_say_what_a_run_waits_for(
    admin: Admin, api: Api, fields: dict[str, Any], is_served: bool, awaited: str | None
) -> None:
    make_worker(lease_until=after(15 if is_served else -1))
    run = remote(**fields)
    assert api.get(f"/scheduler/runs/{run.pk}")["waits_for"] == awaited
    assert [one["waits_for"] for one in api.get("/scheduler/runs")["results"]] == [awaited]
    page = text(admin.read(f"{RUNS}{run.pk}/change/"))
    said = [words for words in {case[3] for case in WAITS} - {None} if f"Worker waits for {words} " in page]
    assert said == [awaited] * (awaited is not None)
    assert ("It waits for" in page) == (awaited is not None)
    assert "?." not in page


def test_a_run_that_was_sent_waits_for_a_slot_while_all_are_busy(api: Api) -> None:
    make_worker(slots=1)
    remote(job_id="busy", status="running", scheduler_id="w1", started_at=NOW)
    run = remote(**ON_ITS_WAY, dispatches=3)
    assert api.get(f"/scheduler/runs/{run.pk}")["waits_for"] == SLOT


def test_a_worker_of_another_queue_or_one_that_stops_serves_none(api: Api) -> None:
    make_worker("w1", queues=["mail"])
    run = remote(**ON_ITS_WAY)
    assert api.get(f"/scheduler/runs/{run.pk}")["waits_for"] == NO_WORKER
    make_worker("w2", slots=0)
    assert api.get(f"/scheduler/runs/{run.pk}")["waits_for"] == STOPS


def test_a_run_says_that_the_setting_is_missing(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": ""}
    assert api.get(f"/scheduler/runs/{remote().pk}")["waits_for"] == NO_SETTING


def test_a_run_that_a_worker_may_take_is_not_said_to_wait_for_a_scheduler(admin: Admin) -> None:
    make_worker()
    page = text(admin.read(f"{RUNS}{remote().pk}/change/"))
    assert "It starts as soon as a worker of its queue has a free slot for it." in page
    assert "Queue reports" in page


def test_a_run_of_a_scheduler_waits_for_one(admin: Admin) -> None:
    page = text(admin.read(f"{RUNS}{make_run().pk}/change/"))
    assert "It starts as soon as a scheduler has a free slot for it." in page


@pytest.mark.parametrize("path", ["/scheduler/runs", "/scheduler/runs?format=csv"])
def test_a_list_of_many_runs_asks_for_the_workers_once(api: Api, statements: Any, path: str) -> None:
    for number in range(5):
        remote(scheduled_time=after(number), **ON_ITS_WAY)
    with statements() as found:
        content = api.client.get(path).getvalue()
    assert content.count(NO_WORKER.encode()) == 5
    assert sum("cronzimus_worker" in sql for sql in found) == 1


def test_other_runs_ask_for_no_worker(api: Api, statements: Any) -> None:
    make_run()
    with statements() as found:
        api.get("/scheduler/runs")
    assert not any("cronzimus_worker" in sql for sql in found)
