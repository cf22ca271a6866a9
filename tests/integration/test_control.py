"""All claiming can be stopped: for every scheduler, over restarts, with person and reason; running jobs go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs import services
from jobs.core.exceptions import InvalidRequest
from jobs.models import AuditEvent, Control, Run, Scheduler
from jobs.scheduler.executors import local_executors
from jobs.scheduler.scheduler import Scheduler as Loop
from tests.fakes import NOW, FakeClock, RunningClock, after, by, make_job, make_run, make_scheduler

pytestmark = pytest.mark.django_db(transaction=True)

MakeLoop = Callable[..., Loop]
Calls = list[tuple[Any, ...]]


def pause(actor: str = "", **given: Any) -> Control:
    with by(actor):
        return services.pause_all(**{"now": NOW, **given})


def executor(loop: Loop) -> Any:
    return loop.tick.executors.by_name["thread"]


def test_a_pause_is_on_record_with_who_and_why() -> None:
    pause(actor="ann", reason="the database is being moved")
    control = Control.objects.get()
    assert (control.paused, control.paused_at, control.actor, control.reason) == (
        True, NOW, "ann", "the database is being moved"
    )  # fmt: skip


def test_the_first_who_paused_stays_on_record() -> None:
    pause(actor="ann", reason="first")
    control = pause(actor="bob", reason="second", now=after(5))
    assert (control.actor, control.reason, control.paused_at) == ("ann", "first", NOW)


def test_a_resumption_is_on_record_with_who() -> None:
    pause(actor="ann", reason="first")
    with by("bob"):
        control, _ = services.resume_all(now=after(5))
    assert (control.paused, control.paused_at, control.actor, control.reason) == (False, None, "bob", "")


def test_resuming_what_is_not_paused_changes_nothing() -> None:
    assert not services.resume_all(now=NOW)[0].paused
    assert Control.objects.count() == 1


def test_nothing_is_claimed_while_all_is_paused(make_loop: MakeLoop) -> None:
    make_job()
    make_run("waiting")
    pause()
    loops = [make_loop(), make_loop()]
    for loop in loops:
        loop.tick.run()
    assert list(Run.objects.values_list("status", "scheduler_id")) == [("queued", None)]


def test_what_was_claimed_before_goes_on(make_loop: MakeLoop, clock: FakeClock, calls: Calls) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    pause()
    loop.tick.run()
    executor(loop).work()
    clock.advance(0.1)
    loop.tick.run()
    assert (len(calls), Run.objects.get().status) == (1, "succeeded")


def test_a_paused_scheduler_does_not_spin(make_loop: MakeLoop) -> None:
    make_job()
    pause()
    assert make_loop().tick.run() >= 0.5


def test_after_a_resumption_what_fell_due_is_claimed(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job()
    pause()
    loop = make_loop()
    loop.tick.run()
    clock.advance(35)
    loop.tick.run()
    services.resume_all(now=clock.now())
    loop.tick.run()
    run = Run.objects.get()
    assert (run.scheduled_time, run.fire_times) == (after(30), 4)


def test_run_once_leaves_what_is_due_where_all_is_paused() -> None:
    make_job()
    make_run("waiting")
    pause()
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert Run.objects.get().status == "queued"


# --- one scheduler ---------------------------------------------------------------------------------------------------


def test_a_scheduler_is_drained_and_let_claim_again_on_record() -> None:
    make_scheduler("s1")
    make_scheduler("s2")
    with by("ana"):
        services.drain_scheduler("s1", now=after(1))
    with by("ben"):
        drained = services.drain_scheduler("s1", now=after(2))
    assert (drained.drained_at, drained.drained_by) == (after(1), "ana")
    assert Scheduler.objects.get(pk="s2").drained_at is None
    with by("ben"):
        resumed = services.resume_scheduler("s1", now=after(3))
    assert (resumed.drained_at, resumed.drained_by) == (None, "")
    found = [(event.action, event.object_id, event.actor) for event in AuditEvent.objects.order_by("id")]
    assert found == [("scheduler_drained", "s1", "ana"), ("scheduler_resumed", "s1", "ben")]


def test_a_scheduler_that_has_stopped_is_not_drained() -> None:
    make_scheduler("s1", stopped_at=NOW)
    for name in ("s1", "s2"):
        with pytest.raises(InvalidRequest, match="is running"):
            services.drain_scheduler(name, now=NOW)
