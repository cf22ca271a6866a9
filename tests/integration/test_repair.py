"""A damaged row stops only itself, and its error names the values found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store.connection import invalid_utf8_seen, loop_connection
from jobs.scheduler.store.repair import Inspector, repair
from tests.fakes import NOW, make_job, make_jobs, make_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sqlite_only")]

MakeLoop = Callable[..., Loop]
DATES = ["garbage", "", -1, 10**18, "2030-13-45 99:99:99", b"\xff", 1.5]


def damage(table: str, column: str, value: object) -> None:
    """Write `value` directly into the database file."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s", [value])  # noqa: S608


def settle(loop: Loop, ticks: int = 8) -> None:
    """Let the loop run, errors included, and execute the runs that it claims."""
    for _ in range(ticks):
        loop._process_jobs()
        loop.tick.executors.by_name["thread"].work()  # type: ignore[attr-defined]
        loop.clock.advance(1)  # type: ignore[attr-defined]


def assert_another_job_runs(make_loop: MakeLoop) -> None:
    """Add a job, and require that it runs."""
    make_job("good", func="tests:echo")
    settle(make_loop())
    assert "succeeded" in Run.objects.filter(job_id="good").values_list("status", flat=True)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("next_run_time", value) for value in DATES),
        *(("anchor", value) for value in DATES),
        ("func", b"\xff"), ("max_instances", "many"), ("max_instances", b"\xff"), ("priority", b"\xff"),
        ("timeout", "long"), ("misfire_grace_time", b"\xff"), ("concurrency_group", b"\xff"), ("max_runs", "x"),
    ],
)  # fmt: skip
def test_a_damaged_job_stops_no_other_job(make_loop: MakeLoop, column: str, value: object) -> None:
    make_job("bad", func="tests:echo")
    damage("cronzimus_job", column, value)
    assert_another_job_runs(make_loop)


@pytest.fixture
def loops_connection() -> Iterator[None]:
    """The loop's own connection, which has not read an invalid text yet."""
    with loop_connection():
        yield
    invalid_utf8_seen.clear()


@pytest.mark.usefixtures("loops_connection")
@pytest.mark.parametrize("column", ["func", "args", "trigger", "next_run_time", "concurrency_group"])
def test_a_text_that_is_not_utf_8_stops_no_other_job(make_loop: MakeLoop, column: str) -> None:
    make_job("bad", func="tests:echo")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE cronzimus_job SET {column} = CAST(x'ff' AS TEXT)")  # noqa: S608
        cursor.execute("PRAGMA ignore_check_constraints = OFF")
    assert_another_job_runs(make_loop)


def test_a_damaged_job_that_never_runs_is_repaired_while_a_scheduler_runs(make_loop: MakeLoop) -> None:
    make_job(paused=True)
    loop = make_loop()
    damage("cronzimus_job", "created_at", "2030-13-45 99:99:99")
    settle(loop)
    assert Job.objects.get().error.startswith("its row was damaged: created_at was ")


def test_the_inspector_looks_at_all_jobs_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.scheduler.store.repair.JOBS_PER_ROUND", 2)
    make_jobs(5)
    inspector = Inspector()
    for _ in range(2):  # and from the first one again
        damage("cronzimus_job", "anchor", "garbage")
        for _ in range(3):
            inspector.work(NOW)
        assert len(list(Job.objects.all())) == 5


@pytest.mark.parametrize("column", ["next_run_time", "anchor", "paused_until", "created_at", "last_run_at"])
@pytest.mark.parametrize("value", DATES)
def test_a_repaired_job_can_be_read(column: str, value: object) -> None:
    make_job()
    damage("cronzimus_job", column, value)
    repair(NOW)
    assert Job.objects.get().error.startswith(f"its row was damaged: {column} was ")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, value) for column in ("scheduled_time", "queued_at", "available_at") for value in DATES),
        ("executor", "thumb"), ("func", b"\xff"), ("job_id", b"\xff"), ("attempt", "second"), ("timeout", "long"),
        ("priority", b"\xff"),
    ],
)  # fmt: skip
def test_a_damaged_run_stops_no_job(make_loop: MakeLoop, column: str, value: object) -> None:
    make_run("bad", func="tests:echo")
    damage("cronzimus_run", column, value)
    assert_another_job_runs(make_loop)


def test_a_repaired_job_says_what_was_found_and_is_off_its_schedule() -> None:
    make_job(max_instances=3)
    damage("cronzimus_job", "max_instances", "many")
    assert repair(NOW) == 1
    job = Job.objects.get()
    assert (job.max_instances, job.next_run_time) == (1, None)
    assert job.error == "its row was damaged: max_instances was 'many'"


def test_a_damaged_run_ends_as_failed_and_says_what_was_found() -> None:
    make_run()
    damage("cronzimus_run", "executor", "thumb")
    assert repair(NOW) == 1
    run = Run.objects.get()
    assert (run.status, run.finished_at, run.executor) == (RunStatus.FAILED, NOW, "thread")
    assert run.error == "its row was damaged: executor was 'thumb'"


def test_valid_rows_are_left_unchanged() -> None:
    make_job(misfire_grace_time=5, timeout=3, tags=["a"], retries={"max": 1})
    make_run(status=RunStatus.RUNNING, scheduler_id="s1", progress_done=2**40)
    before: list[Any] = [*Job.objects.values(), *Run.objects.values()]
    assert repair(NOW) == 0
    assert [*Job.objects.values(), *Run.objects.values()] == before
