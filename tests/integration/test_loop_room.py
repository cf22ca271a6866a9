"""How much the loop claims, when, and for whom: the room of each executor, and that of other schedulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs.core.runs import RunStatus
from jobs.models import Run
from jobs.scheduler import claims
from jobs.scheduler.ticking import STALL
from tests.fakes import (
    NOW,
    FakeClock,
    after,
    make_job,
    make_jobs,
    make_run,
    make_scheduler,
)

from .loop_support import Calls, MakeLoop, executor, settle, statuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(20)]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_no_more_is_claimed_than_can_run(make_loop: MakeLoop) -> None:
    make_jobs(10)
    loop = make_loop(threads=3)
    loop.tick()
    loop.tick()
    assert Run.objects.filter(scheduler_id__isnull=False).count() == 3
    assert executor(loop).queued == 3
    # What a process could have run is written, too, for others to start.
    assert Run.objects.count() <= 3 + 2


def test_waiting_runs_and_due_jobs_share_the_room(make_loop: MakeLoop) -> None:
    make_jobs(5)
    for number in range(2):
        make_run(f"waiting-{number}")
    loop = make_loop(threads=4)
    loop.tick()
    assert executor(loop).queued == 4
    assert Run.objects.filter(job_id__in=["waiting-0", "waiting-1"], scheduler_id__isnull=False).count() == 2


def test_when_runs_end_fast_more_is_claimed_ahead(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_jobs(100)
    loop = make_loop(threads=2)
    started = []
    for _ in range(10):
        loop.tick()
        started.append(executor(loop).work())
        clock.advance(0.01)
    assert started[0] == 2
    assert max(started) > 10


def test_what_was_claimed_and_can_not_start_soon_is_given_to_others(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_jobs(3)
    loop = make_loop(threads=3)
    loop.tick()
    clock.advance(1.1)
    loop.tick()
    assert Run.objects.filter(scheduler_id__isnull=True, status="queued").count() + executor(loop).queued == 3
    assert Run.objects.filter(scheduler_id=loop.lease.scheduler_id).count() == executor(loop).queued


def test_given_back_runs_are_run_in_the_end(make_loop: MakeLoop, clock: FakeClock, calls: Calls) -> None:
    make_jobs(3)
    loop = make_loop(threads=3)
    loop.tick()
    clock.advance(1.1)
    settle(loop)
    assert len(calls) == 3
    assert statuses() == ["succeeded"] * 3


def test_a_slot_that_becomes_free_is_filled_at_once_although_other_executors_were_idle(make_loop: MakeLoop) -> None:
    make_jobs(2)
    loop = make_loop(threads=1, processes=2)
    for _ in range(3):
        loop.tick()
    assert executor(loop).queued == 1
    executor(loop).work()
    loop._room_for_more("thread")
    loop.tick()
    assert executor(loop).queued == 1


def test_what_is_due_is_not_gone_through_for_an_idle_executor_whenever_another_has_room(
    make_loop: MakeLoop, statements: Callable[[], Any]
) -> None:
    make_jobs(9)
    loop = make_loop(threads=2, processes=2)
    for _ in range(3):
        loop.tick()
    executor(loop).work()
    loop._room_for_more("thread")
    with statements() as found:
        loop.tick()
    (claim,) = [sql for sql in found if "FROM jobs_job WHERE next_run_time <=" in sql]
    assert "NOT (executor = 'process'" in claim


@pytest.fixture
def slow_claims(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Have each claim take 30 ms."""
    real = claims.claim_due

    def claim(*args: Any, **named: Any) -> Any:
        clock.advance(0.03)
        return real(*args, **named)

    monkeypatch.setattr(claims, "claim_due", claim)


@pytest.mark.usefixtures("slow_claims", "sqlite_only")
def test_a_scheduler_leaves_sqlite_to_others_for_as_long_as_its_claim_took(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    make_jobs(9)
    loop = make_loop(threads=2)
    make_scheduler("other")
    assert loop.tick() == pytest.approx(0.03)
    executor(loop).work()
    loop.tick()
    assert Run.objects.count() == 2
    clock.advance(0.031)
    loop.tick()
    assert Run.objects.count() > 2


@pytest.mark.usefixtures("slow_claims")
def test_a_scheduler_that_is_alone_claims_again_at_once(make_loop: MakeLoop) -> None:
    make_jobs(9)
    loop = make_loop(threads=2)
    assert loop.tick() == 0.0
    executor(loop).work()
    loop.tick()
    assert Run.objects.count() > 2


def test_what_one_executor_does_not_start_is_given_back_although_another_starts_runs(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    make_job("slow", executor="process")
    make_job("quick")
    loop = make_loop()
    loop.tick()
    clock.advance(STALL + 0.1)
    executor(loop).work()
    loop._give_back()
    assert Run.objects.get(job_id="slow").scheduler_id is None


def test_a_job_that_falls_due_does_not_wait_for_another_that_is_stuck(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job("full", next_run_time=None)
    make_run("full", status=RunStatus.RUNNING, scheduler_id="other", started_at=NOW)
    make_run("full", scheduled_time=after(1))
    loop = make_loop()
    loop.tick()
    make_job("new", next_run_time=clock.now())
    loop.tick()
    assert Run.objects.filter(job_id="new").exists()
