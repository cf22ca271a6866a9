"""Waiting runs are taken once, when they may start, with as many statements for five hundred as for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from jobs.core.runs import RunStatus
from jobs.models import Control, Run
from jobs.scheduler.store import admission
from jobs.scheduler.store.work import pending_work
from tests.fakes import NOW, after, make_job, make_jobs, make_run

from .conftest import in_thread

pytestmark = pytest.mark.django_db

ROOMS = {"thread": 1000, "process": 0}


def taken(rooms: dict[str, int] | None = None, *, now: Any = NOW, scheduler: str = "s1") -> list[str]:
    return [run.job_id for run in admission.admit(scheduler, ROOMS if rooms is None else rooms, now)]


@pytest.mark.parametrize("group", ["", "g"])
def test_many_runs_take_as_many_statements_as_one(statements: Callable[[], Any], group: str) -> None:
    counts = []
    for number in (1, 500):
        make_jobs(number, concurrency_group=group, concurrency_limit=1000)
        Run.objects.bulk_create(
            Run(job_id=f"job-{n}", func="tests:record", status="queued", trigger="manual", scheduled_time=NOW,
                queued_at=NOW, concurrency_group=group)
            for n in range(number)
        )  # fmt: skip
        with statements() as found:
            assert len(taken()) == number
        counts.append(len(found))
        connection.cursor().execute("DELETE FROM cronzimus_run")
        connection.cursor().execute("DELETE FROM cronzimus_job")
    assert counts[0] == counts[1] <= 6


def test_no_waiting_run_takes_one_statement(statements: Callable[[], Any]) -> None:
    with statements() as found:
        assert taken() == []
    assert len(found) == 1


@pytest.mark.usefixtures("sqlite_only")
def test_four_times_as_many_runs_of_a_full_job_take_at_most_four_times_the_work() -> None:
    make_job("full")
    make_run("full", status=RunStatus.RUNNING, scheduler_id="another", scheduled_time=after(-1))
    steps: list[int] = []
    for first, end in ((0, 200), (200, 800)):
        Run.objects.bulk_create(
            Run(job_id="full", func="tests:record", status="queued", trigger="manual", scheduled_time=after(n),
                queued_at=NOW)
            for n in range(first, end)
        )  # fmt: skip
        steps.append(0)
        connection.connection.set_progress_handler(lambda: steps.append(steps.pop() + 1), 100)
        assert taken() == []
        connection.connection.set_progress_handler(None, 0)
    assert steps[1] < 6 * steps[0]


def test_a_run_waits_until_it_is_available() -> None:
    make_run(available_at=after(5))
    assert taken(now=after(4.9)) == []
    assert taken(now=after(5)) == ["job"]


def test_a_run_waits_while_its_job_has_max_instances_active_runs() -> None:
    make_job()
    active = make_run(status=RunStatus.RUNNING, scheduler_id="another", scheduled_time=after(-10))
    make_run()
    assert taken() == []
    Run.objects.filter(pk=active.pk).update(status=RunStatus.SUCCEEDED, finished_at=NOW)
    assert taken() == ["job"]


def test_a_run_waits_for_capacity_of_its_own_executor() -> None:
    make_run("a", executor="process")
    make_run("b")
    assert taken({"thread": 1, "process": 0}) == ["b"]
    assert taken({"thread": 0, "process": 1}) == ["a"]


def test_the_higher_priority_is_taken_first_and_then_the_oldest_run() -> None:
    for name, priority in (("a", 0), ("b", 9), ("c", 0), ("d", 9)):
        make_run(name, priority=priority)
    assert taken({"thread": 3}) == ["b", "d", "a"]


def test_a_run_of_a_removed_job_is_taken() -> None:
    make_run("removed", concurrency_group="g")
    assert taken() == ["removed"]


@pytest.mark.parametrize("size", [1, 50])
def test_a_full_group_does_not_hide_the_runs_behind_it(size: int) -> None:
    for number in range(size):
        make_job(f"g-{number}", concurrency_group="g")
        make_run(f"g-{number}", concurrency_group="g", priority=5)
    make_run("behind")
    assert taken({"thread": 1}) == ["g-0"]
    assert taken({"thread": 1}) == ["behind"]


def test_a_job_with_many_waiting_runs_does_not_hide_the_runs_behind_it() -> None:
    make_job()
    for number in range(50):
        make_run(scheduled_time=after(number), priority=5)
    make_run("behind")
    assert taken({"thread": 2}) + taken({"thread": 1}) == ["job", "behind"]


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_never_take_a_run_twice_or_exceed_a_limit() -> None:
    make_job("one", max_instances=1)
    make_jobs(20, concurrency_group="g", concurrency_limit=3)
    for number in range(20):
        make_run("one", scheduled_time=after(number))
        make_run(f"job-{number}", concurrency_group="g")
    start = threading.Barrier(2)

    def work(name: str) -> Callable[[], list[str]]:
        def take_all() -> list[str]:
            start.wait(timeout=60)
            return [job_id for _ in range(15) for job_id in taken({"thread": 4}, scheduler=name)]

        return in_thread(take_all)

    first, second = work("s1"), work("s2")
    found = first() + second()
    assert found.count("one") == 1
    assert len(found) == 1 + 3
    assert Run.objects.filter(scheduler_id__isnull=False).count() == len(found)


def test_the_awaited_runs_are_those_of_jobs_with_waiting_runs_and_of_groups() -> None:
    held = {"status": RunStatus.RUNNING, "scheduler_id": "s1", "scheduled_time": after(-1)}
    of_job, _, in_group = make_run("a", **held), make_run("b", **held), make_run("c", concurrency_group="g", **held)
    for name in ("a", "other"):
        make_run(name)
    assert admission.awaited_runs("s1") == {of_job.id, in_group.id}
    assert admission.awaited_runs("s2") == set()


def test_the_pending_work_has_the_time_when_a_waiting_run_may_start() -> None:
    make_run("a", available_at=after(60), queued_at=after(-5))
    make_run("b", queued_at=after(3))
    assert pending_work("s1").waiting_at == after(3)


def test_the_pending_work_has_only_cancellations_of_the_schedulers_own_runs() -> None:
    make_run(status=RunStatus.RUNNING, scheduler_id="s1", cancel_requested_at=NOW)
    assert pending_work("s1").has_cancellations
    assert not pending_work("s2").has_cancellations


def test_the_pending_work_says_whether_all_jobs_are_paused() -> None:
    assert not pending_work("s1").paused
    Control.objects.create(paused=True)
    assert pending_work("s1").paused
