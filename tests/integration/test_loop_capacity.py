"""The claims of the loop: the capacity of each executor, shared with other schedulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs.core.runs import RunStatus
from jobs.models import Run
from jobs.scheduler.batches import FLUSH_SECONDS
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store import claims
from jobs.scheduler.tick import STALL_SECONDS
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

pytestmark = pytest.mark.django_db(transaction=True)


# --- limits ----------------------------------------------------------------------------------------------------------


def test_no_more_runs_are_claimed_than_can_start(make_loop: MakeLoop) -> None:
    make_jobs(10)
    loop = make_loop(threads=3)
    loop.tick.run()
    loop.tick.run()
    assert Run.objects.filter(scheduler_id__isnull=False).count() == 3
    assert executor(loop).queued == 3
    # The runs for two processes are written as well, for others to start.
    assert Run.objects.count() <= 3 + 2


def test_waiting_runs_and_due_jobs_share_the_capacity(make_loop: MakeLoop) -> None:
    make_jobs(5)
    for number in range(2):
        make_run(f"waiting-{number}")
    loop = make_loop(threads=4)
    loop.tick.run()
    assert executor(loop).queued == 4
    assert Run.objects.filter(job_id__in=["waiting-0", "waiting-1"], scheduler_id__isnull=False).count() == 2


def test_short_runs_are_claimed_ahead(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_jobs(100)
    loop = make_loop(threads=2)
    started = []
    for _ in range(10):
        loop.tick.run()
        started.append(executor(loop).work())
        clock.advance(0.01)
    assert started[0] == 2
    assert max(started) > 10


def test_runs_that_do_not_start_soon_are_given_back(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_jobs(3)
    loop = make_loop(threads=3)
    loop.tick.run()
    clock.advance(1.1)
    loop.tick.run()
    assert Run.objects.filter(scheduler_id__isnull=True, status="queued").count() + executor(loop).queued == 3
    assert Run.objects.filter(scheduler_id=loop.tick.lease.scheduler_id).count() == executor(loop).queued


def test_runs_that_were_given_back_run_in_the_end(make_loop: MakeLoop, clock: FakeClock, calls: Calls) -> None:
    make_jobs(3)
    loop = make_loop(threads=3)
    loop.tick.run()
    clock.advance(1.1)
    settle(loop)
    assert len(calls) == 3
    assert statuses() == ["succeeded"] * 3


def test_a_free_slot_is_filled_at_once_although_another_executor_was_idle(make_loop: MakeLoop) -> None:
    make_jobs(2)
    loop = make_loop(threads=1, processes=2)
    for _ in range(3):
        loop.tick.run()
    assert executor(loop).queued == 1
    executor(loop).work()
    loop.tick._running_low("thread")
    loop.tick.run()
    assert executor(loop).queued == 1


def test_an_idle_executor_does_not_make_every_claim_read_all_due_jobs(
    make_loop: MakeLoop, statements: Callable[[], Any]
) -> None:
    make_jobs(9)
    loop = make_loop(threads=2, processes=2)
    for _ in range(3):
        loop.tick.run()
    executor(loop).work()
    loop.tick._running_low("thread")
    with statements() as found:
        loop.tick.run()
    (claim,) = [sql for sql in found if "FROM cronzimus_job WHERE next_run_time <=" in sql]
    assert "IN ('thread')" in claim


@pytest.fixture
def slow_claims(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    """Make each claim take 30 ms."""
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
    assert loop.tick.run() == pytest.approx(0.03)
    executor(loop).work()
    loop.tick.run()
    assert Run.objects.count() == 2
    clock.advance(0.031)
    loop.tick.run()
    assert Run.objects.count() > 2


@pytest.mark.usefixtures("slow_claims")
def test_a_scheduler_that_is_alone_claims_again_at_once(make_loop: MakeLoop) -> None:
    make_jobs(9)
    loop = make_loop(threads=2)
    assert loop.tick.run() == 0.0
    executor(loop).work()
    loop.tick.run()
    assert Run.objects.count() > 2


def test_the_runs_of_a_stalled_executor_are_given_back_although_another_starts_runs(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    make_job("slow", executor="process")
    make_job("quick")
    loop = make_loop()
    loop.tick.run()
    clock.advance(STALL_SECONDS + 0.1)
    executor(loop).work()
    loop.tick._give_back()
    assert Run.objects.get(job_id="slow").scheduler_id is None


# --- a blocked run: its job is full ----------------------------------------------------------------------------------


@pytest.fixture
def blocked(make_loop: MakeLoop) -> Loop:
    """A loop with capacity that has found that the only waiting run belongs to a full job."""
    make_scheduler("other")
    make_job("full", next_run_time=None)
    make_run("full", status=RunStatus.RUNNING, scheduler_id="other", started_at=NOW)
    make_run("full", scheduled_time=after(1))
    loop = make_loop()
    loop.tick.run()
    return loop


def test_a_due_job_does_not_wait_for_a_blocked_run(blocked: Loop) -> None:
    make_job("new")
    blocked.tick.run()
    assert Run.objects.filter(job_id="new").exists()


def test_a_job_that_is_due_soon_is_not_delayed_by_a_blocked_run(blocked: Loop, clock: FakeClock) -> None:
    make_job("soon", next_run_time=after(0.02))
    assert blocked.tick.run() == pytest.approx(0.02)
    clock.advance(0.02)
    blocked.tick.run()
    assert Run.objects.filter(job_id="soon").exists()


def test_a_free_slot_does_not_wake_the_loop_for_a_blocked_run(blocked: Loop) -> None:
    blocked.tick.woken = False
    blocked.tick._running_low("thread")
    assert not blocked.tick.woken


def test_the_end_of_a_run_that_another_waits_for_is_written_at_once(make_loop: MakeLoop) -> None:
    make_job("full", next_run_time=None)
    for number in range(2):
        make_run("full", scheduled_time=after(number))
    loop = make_loop()
    for _ in range(2):
        loop.tick.run()
    executor(loop).work()
    assert loop.tick.write_at == loop.clock.monotonic()
    loop.tick.run()
    assert (statuses(), executor(loop).queued) == (["succeeded", "queued"], 1)


def test_the_ends_of_other_runs_are_written_together(blocked: Loop) -> None:
    make_job("new")
    blocked.tick.run()
    executor(blocked).work()
    assert blocked.tick.write_at == blocked.clock.monotonic() + FLUSH_SECONDS


def test_a_claim_does_not_look_for_a_blocked_run_again(blocked: Loop, statements: Callable[[], Any]) -> None:
    make_job("new")
    with statements() as found:
        blocked.tick.run()
        blocked.tick.run()
    assert not [sql for sql in found if "FROM cronzimus_run r LEFT JOIN cronzimus_job" in sql]


def test_a_blocked_run_is_looked_for_when_other_runs_have_ended(blocked: Loop, clock: FakeClock) -> None:
    make_job("new")
    blocked.tick.run()
    executor(blocked).work()
    Run.objects.filter(job_id="full", status=RunStatus.RUNNING).update(status=RunStatus.SUCCEEDED, finished_at=NOW)
    clock.advance(0.06)
    for _ in range(2):
        blocked.tick.run()
    assert executor(blocked).queued == 1
