"""Simultaneous requests are done once, or for each person, and never end with an error of ours."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from jobs import services
from jobs.core.exceptions import CronzimusError, JobExists
from jobs.core.runs import RunStatus
from jobs.models import Control, Job, Run
from tests.fakes import NOW, after, make_job, make_run

from .admin_support import JOBS as ADMIN_JOBS
from .admin_support import Admin, inputs
from .api_client import Api
from .conftest import in_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_writers")]

NUMBER = 6
Statements = Callable[[], AbstractContextManager[list[str]]]
JOBS, JOB = "/scheduler/jobs", "/scheduler/jobs/job"
EDIT = f"{ADMIN_JOBS}job/edit/"
BODY = {"id": "job", "func": "tests:echo", "args": [1], "trigger": "interval", "seconds": 10}


def together(call: Callable[[], Any], number: int = NUMBER, *, locked: Any = None) -> list[Any]:
    """Return the results of `number` calls at once, each in a thread with a connection of its own.

    The rows `locked` are locked until all calls have begun, so that on PostgreSQL calls that need them wait.
    """
    barrier = Barrier(number + 1)

    def work() -> Any:
        barrier.wait(timeout=60)
        return call()

    waiting = [in_thread(work) for _ in range(number)]
    with transaction.atomic():
        if locked is not None:
            list(locked.select_for_update())
        barrier.wait(timeout=60)
        time.sleep(0.2)
    return [result() for result in waiting]


def answered(method: str, path: str, body: Any = None, *, locked: Any = None) -> Counter[tuple[int, str]]:
    """Return the numbers of each status and code for a request that is sent `NUMBER` times at once."""

    def send() -> tuple[int, str]:
        response = Api().call(method, path, body)
        return response.status_code, response.json().get("code", "")

    return Counter(together(send, locked=locked))


def refusal(call: Callable[[], Any]) -> type[CronzimusError] | None:
    """Return the error of a call of a service, None if it succeeds."""
    try:
        call()
    except CronzimusError as error:
        return type(error)
    return None


@pytest.mark.parametrize("attempts", [1, 3])
def test_one_of_several_retries_of_a_run_is_queued(api: Api, attempts: int) -> None:
    make_job()
    runs = [make_run(status="failed", attempt=number + 1) for number in range(attempts)]
    found = answered("POST", f"/scheduler/runs/{runs[0].pk}/retry", locked=Run.objects.all())
    assert found == {(200, ""): 1, (409, "RUN_ACTIVE"): NUMBER - 1}
    assert list(Run.objects.filter(status="queued").values_list("attempt", flat=True)) == [attempts + 1]


def test_one_of_several_retries_of_different_attempts_is_queued(api: Api) -> None:
    make_job()
    runs = [make_run(status="failed", attempt=number + 1) for number in range(NUMBER)]
    left = iter([run.pk for run in runs])
    found = together(lambda: Api().call("POST", f"/scheduler/runs/{next(left)}/retry").status_code)
    assert Counter(found) == {200: 1, 409: NUMBER - 1}


def test_one_of_several_jobs_with_the_same_id_is_added(api: Api) -> None:
    assert answered("POST", JOBS, BODY) == {(200, ""): 1, (409, "JOB_EXISTS"): NUMBER - 1}


def test_one_of_several_copies_with_the_same_id_is_made() -> None:
    make_job()
    found = together(lambda: refusal(lambda: services.duplicate_job("job", "copy", now=NOW)))
    assert Counter(found) == {None: 1, JobExists: NUMBER - 1}


def test_an_id_that_is_added_and_removed_at_once_is_never_an_error(api: Api) -> None:
    calls = iter([("POST", JOBS, BODY), ("DELETE", JOB, None)] * 12)

    def send() -> int:
        return int(Api().call(*next(calls)).status_code)

    assert set(together(send, 24)) <= {200, 404, 409}


@pytest.mark.parametrize("attempt", range(3))
def test_one_of_several_upserts_of_an_id_adds_it_and_the_others_change_it(api: Api, attempt: int) -> None:
    calls = iter([("PUT", f"{JOB}?upsert=1", {**BODY, "seconds": number + 1}) for number in range(24)])

    def send() -> tuple[int, str]:
        response = Api().call(*next(calls))
        return response.status_code, response.json()["status"]

    assert Counter(together(send, 24)) == {(200, "added"): 1, (200, "updated"): 23}


def test_the_row_of_a_new_job_is_locked_before_its_versions(statements: Statements) -> None:
    with statements() as found:
        services.add_job(BODY, now=NOW)
    written = [sql.split()[2].strip('"') for sql in found if sql.startswith("INSERT")]
    assert written[:2] == ["cronzimus_job", "cronzimus_jobversion"]


def test_an_id_that_was_taken_by_a_job_that_is_gone_again_is_refused_all_the_same() -> None:
    make_job()
    refused = []

    def remove_after_refusal(execute: Any, *statement: Any) -> Any:
        if refused:
            in_thread(lambda: Job.objects.all().delete())()
        try:
            return execute(*statement)
        except IntegrityError:
            refused.append(statement)
            raise

    with connection.execute_wrapper(remove_after_refusal), pytest.raises(JobExists):
        services.add_job(BODY, now=NOW)
    assert refused


def test_each_of_several_run_nows_is_queued(api: Api) -> None:
    make_job()
    assert answered("POST", f"{JOB}/run", locked=Job.objects.all()) == {(200, ""): NUMBER}
    assert len(set(Run.objects.values_list("scheduled_time", flat=True))) == NUMBER


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize("paused", [False, True])
def test_a_job_is_paused_or_resumed_by_several_at_once(api: Api, verb: str, paused: bool) -> None:
    make_job(paused=paused, next_run_time=None if paused else after(5))
    assert answered("POST", f"{JOB}/{verb}", locked=Job.objects.all()) == {(200, ""): NUMBER}
    assert Job.objects.get().paused is (verb == "pause")


def test_each_of_several_skips_leaves_out_a_fire_time_of_its_own(api: Api) -> None:
    make_job()
    assert answered("POST", f"{JOB}/skip", locked=Job.objects.all()) == {(200, ""): NUMBER}
    skipped = Run.objects.filter(status=RunStatus.SKIPPED).values_list("scheduled_time", flat=True)
    assert sorted(skipped) == [after(10 * number) for number in range(NUMBER)]


def test_each_of_several_changes_is_made(api: Api) -> None:
    make_job()
    assert answered("PUT", JOB, {"seconds": 7}, locked=Job.objects.all()) == {(200, ""): NUMBER}


def test_one_of_several_forms_of_a_job_is_saved() -> None:
    make_job()
    admin, names = Admin(superuser=True), iter(("one", "two", "three"))
    sent = inputs(admin.open(EDIT))

    def save() -> tuple[int, str]:
        client, name = Client(), next(names)
        client.force_login(admin.user)
        response = client.post(EDIT, {**sent, "name": name})
        return response.status_code, name if response.status_code == 302 else ""

    found = Counter(together(save, 3, locked=Job.objects.all()))
    assert found == {(302, Job.objects.get().name): 1, (200, ""): 2}


def test_one_of_several_removals_finds_the_job(api: Api) -> None:
    make_job()
    found = answered("DELETE", JOB, locked=Job.objects.all())
    assert found == {(200, ""): 1, (404, "JOB_NOT_FOUND"): NUMBER - 1}


def test_one_of_several_cancellations_ends_a_run_that_waits(api: Api) -> None:
    make_job()
    run = make_run()
    found = answered("POST", f"/scheduler/runs/{run.pk}/cancel", locked=Run.objects.all())
    assert found == {(200, ""): 1, (409, "RUN_FINISHED"): NUMBER - 1}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_all_jobs_are_paused_or_resumed_by_several_at_once(api: Api, verb: str) -> None:
    assert answered("POST", f"/scheduler/{verb}") == {(200, ""): NUMBER}
    assert Control.objects.get().paused is (verb == "pause")


def test_a_run_is_retried_while_its_scheduler_queues_the_next_attempt(api: Api) -> None:
    make_job()
    first = make_run(status="failed", attempt=1)
    with transaction.atomic():
        list(Run.objects.select_for_update())
        waiting = in_thread(lambda: Api().call("POST", f"/scheduler/runs/{first.pk}/retry").status_code)
        time.sleep(0.3)
        make_run(attempt=2, trigger="retry")
    assert waiting() == 409
    assert Run.objects.count() == 2
