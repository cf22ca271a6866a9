"""The scheduler, tick by tick, on a fake clock: it claims runs, hands them out, records them, and survives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers import SchedulerNotRunningError
from django.db import OperationalError, connections

from jobs import services
from jobs.calls import runner
from jobs.core.runs import RunStatus
from jobs.models import Job, Run, Scheduler
from jobs.scheduler.events import Events
from jobs.scheduler.executors import local_executors
from jobs.scheduler.lease_time import HEARTBEAT_SECONDS, LEASE_SECONDS
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store import claims, recovery
from jobs.scheduler.tick import POLL_SECONDS
from tests.fakes import (
    NOW,
    FakeClock,
    RunningClock,
    after,
    by,
    held_run,
    make_job,
    make_jobs,
    make_run,
    make_scheduler,
    outcome,
)
from tests.waiting import until

from .conftest import in_thread
from .loop_support import HOURLY, Calls, MakeLoop, executor, settle, statuses

pytestmark = pytest.mark.django_db(transaction=True)


# --- the way of a run ------------------------------------------------------------------------------------------------


def test_a_tick_claims_what_is_due(make_loop: MakeLoop) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    run = Run.objects.get()
    assert (run.status, run.scheduler_id) == (RunStatus.QUEUED, loop.tick.lease.scheduler_id)
    assert executor(loop).queued == 1


def test_a_tick_claims_nothing_before_its_time(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(next_run_time=after(0.5))
    loop = make_loop()
    assert loop.tick.run() == pytest.approx(0.5)
    assert statuses() == []
    clock.advance(0.5)
    loop.tick.run()
    assert statuses() == ["queued"]


def test_a_run_is_called_and_recorded(make_loop: MakeLoop, calls: Calls) -> None:
    make_job(args=[1], kwargs={"b": 2})
    settle(make_loop())
    assert calls == [(1, 2)]
    assert statuses() == ["succeeded"]


def test_a_run_that_fails_is_recorded(make_loop: MakeLoop) -> None:
    make_job(func="tests:fail", args=["no luck"])
    settle(make_loop())
    run = Run.objects.get()
    assert (run.status, run.error) == (RunStatus.FAILED, "RuntimeError: no luck")


def test_a_job_of_an_unknown_function_fails_and_goes_on(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(func="gone:away")
    loop = make_loop()
    settle(loop)
    clock.advance(10)
    settle(loop)
    assert statuses() == ["failed", "failed"]
    assert "'gone:away' is not a registered function" in Run.objects.earliest("id").error


def test_a_waiting_run_is_taken(make_loop: MakeLoop, calls: Calls) -> None:
    make_run(args=["now"])
    settle(make_loop())
    assert calls == [("now",)]
    assert statuses() == ["succeeded"]


def test_ten_minutes_of_a_ten_second_job_give_every_run(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job()
    loop = make_loop()
    for _ in range(60):
        loop.tick.run()
        executor(loop).work()
        clock.advance(10)
    loop.tick.run()
    times = list(Run.objects.filter(status="succeeded").order_by("id").values_list("scheduled_time", flat=True))
    assert times == [after(10 * number) for number in range(60)]


def test_an_idle_tick_waits_for_at_most_a_second(make_loop: MakeLoop) -> None:
    assert make_loop().tick.run() == POLL_SECONDS


def test_an_idle_tick_asks_the_database_once(make_loop: MakeLoop, statements: Callable[[], Any]) -> None:
    loop = make_loop()
    loop.tick.run()
    with statements() as found:
        loop.tick.run()
    assert len(found) == 1


# --- paused, draining ------------------------------------------------------------------------------------------------


def test_a_paused_scheduler_claims_nothing(make_loop: MakeLoop) -> None:
    make_job()
    make_run("waiting")
    loop = make_loop(paused=True)
    assert loop.tick.run() == POLL_SECONDS
    assert statuses() == ["queued"]
    assert Run.objects.get().scheduler_id is None


def test_a_paused_scheduler_keeps_its_lease(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    loop.pause()
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    assert Scheduler.objects.get().heartbeat_at == after(HEARTBEAT_SECONDS)


def test_a_scheduler_that_is_resumed_claims_again(make_loop: MakeLoop) -> None:
    make_job()
    loop = make_loop()
    loop.pause()
    loop.tick.run()
    loop.resume()
    loop.tick.run()
    assert statuses() == ["queued"]


def test_a_draining_scheduler_claims_nothing(make_loop: MakeLoop) -> None:
    make_job()
    loop = make_loop()
    loop.drain()
    loop.tick.run()
    assert statuses() == []


def test_a_drained_scheduler_claims_nothing_gives_back_what_waits_and_ends_what_runs(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    make_job(max_instances=3)
    loop = make_loop()
    loop.tick.run()
    run = Run.objects.get()
    assert run.scheduler_id == loop.tick.lease.scheduler_id
    with by("ana"):
        services.drain_scheduler(run.scheduler_id, now=clock.now())
    clock.advance(HEARTBEAT_SECONDS * 2)
    loop.tick.run()
    loop.tick.run()
    run.refresh_from_db()
    assert (statuses(), run.scheduler_id) == (["queued"], None)
    services.resume_scheduler(loop.tick.lease.scheduler_id, now=clock.now())
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    assert set(Run.objects.values_list("scheduler_id", flat=True)) == {loop.tick.lease.scheduler_id}


# --- the lease -------------------------------------------------------------------------------------------------------


def test_a_heartbeat_is_written_every_five_seconds(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    for _ in range(20):
        clock.advance(1)
        loop.tick.run()
    assert Scheduler.objects.get().heartbeat_at == after(20)
    assert loop.tick.lease.held


def test_a_wait_ends_when_a_heartbeat_is_due(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    clock.advance(HEARTBEAT_SECONDS - 0.25)
    assert loop.tick.run() == pytest.approx(0.25)


def test_without_its_lease_it_starts_nothing(make_loop: MakeLoop, clock: FakeClock, calls: Calls) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    clock.advance(LEASE_SECONDS)
    executor(loop).work()
    assert calls == []


def test_runs_that_it_may_not_start_without_a_lease_are_given_back(
    make_loop: MakeLoop, clock: FakeClock, calls: Calls
) -> None:
    make_job(trigger=HOURLY)
    loop = make_loop()
    loop.tick.run()
    clock.advance(LEASE_SECONDS)
    executor(loop).work()
    settle(loop)
    assert len(calls) == 1
    assert statuses() == ["succeeded"]


def test_a_run_that_a_restored_dump_says_is_running_is_lost(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    job = make_job("gone", trigger=HOURLY, next_run_time=None)
    run = make_run(job.pk, status="running", scheduler_id=loop.tick.lease.scheduler_id, started_at=clock.now())
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    run.refresh_from_db()
    assert (run.status, run.reason) == ("lost", "the database was restored or failed over after it ended")


@pytest.mark.parametrize("how", ["lost", "removed"])
def test_a_run_that_others_gave_up_is_told_to_end(
    make_loop: MakeLoop, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    make_job(trigger=HOURLY)
    loop, told = make_loop(), []
    loop.tick.run()
    rows = Run.objects.all()

    def call(*args: Any, **kwargs: Any) -> None:
        rows.update(status="lost", finished_at=NOW, reason="by others") if how == "lost" else rows.delete()
        clock.advance(HEARTBEAT_SECONDS)
        loop.tick.run()
        told.extend(activity.context.cancelled for activity in loop.tick.recorder.activities())

    monkeypatch.setattr(runner, "_call_in_span", call)
    executor(loop).work()
    settle(loop)
    assert told == [True]
    assert list(rows.values_list("status", "reason")) == [("lost", "by others")] * (how == "lost")


def test_a_run_that_it_knows_is_not_given_up(
    make_loop: MakeLoop, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_job(trigger=HOURLY)
    loop = make_loop()
    loop.tick.run()

    def call(*args: Any, **kwargs: Any) -> None:
        for _ in range(2):  # the first writes its start
            clock.advance(HEARTBEAT_SECONDS)
            loop.tick.run()
        assert statuses() == ["running"]

    monkeypatch.setattr(runner, "_call_in_span", call)
    executor(loop).work()
    clock.advance(HEARTBEAT_SECONDS)  # its outcome is not written yet
    loop.tick.run()
    settle(loop)
    assert statuses() == ["succeeded"]


def test_after_others_ended_its_lease_it_acquires_a_new_one(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    first = loop.tick.lease.scheduler_id
    clock.advance(LEASE_SECONDS)
    Scheduler.objects.update(stopped_at=clock.now())
    loop.tick.run()
    assert loop.tick.lease.scheduler_id != first
    assert loop.tick.lease.held


def test_a_run_that_others_marked_as_lost_is_not_started(make_loop: MakeLoop, clock: FakeClock, calls: Calls) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    clock.advance(LEASE_SECONDS)
    recovery.recover(clock.now(), clock.now)
    Job.objects.update(next_run_time=None)
    settle(loop)
    assert calls == []
    assert statuses() == ["lost"]


def test_after_a_jump_of_the_clock_the_others_have_time_to_renew_their_leases(
    make_loop: MakeLoop, clock: FakeClock
) -> None:
    loop = make_loop()
    make_scheduler("other", lease_until=after(15))
    clock.advance(HEARTBEAT_SECONDS)
    clock.set(after(3600))
    clock.jumped_at = clock.monotonic()
    loop.tick.run()
    assert Scheduler.objects.get(pk="other").stopped_at is None
    for _ in range(3):
        clock.advance(HEARTBEAT_SECONDS)
        loop.tick.run()
    assert Scheduler.objects.get(pk="other").stopped_at is None
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    assert Scheduler.objects.get(pk="other").stopped_at is not None


def test_no_run_is_lost_when_all_schedulers_miss_their_heartbeats(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(trigger=HOURLY)
    first, second = make_loop(), make_loop()
    first.tick.run()
    clock.advance(LEASE_SECONDS + 5)  # the database is gone, or locked
    second.tick.run()
    first.tick.run()
    for _ in range(4):
        clock.advance(HEARTBEAT_SECONDS)
        first.tick.run()
        second.tick.run()
    assert statuses() == ["queued"]
    assert list(Scheduler.objects.values_list("stopped_at", flat=True)) == [None, None]


def test_a_run_that_ends_after_it_was_marked_as_lost_stays_lost(make_loop: MakeLoop, clock: FakeClock) -> None:
    run = make_run(func="tests:record")
    loop = make_loop()
    loop.tick.run()
    loop.tick._flush()
    Run.objects.update(status=RunStatus.LOST, finished_at=NOW)
    executor(loop).work()
    clock.advance(1)
    loop.tick.run()
    run.refresh_from_db()
    assert run.status == RunStatus.LOST


def test_it_marks_the_runs_of_dead_schedulers_as_lost(make_loop: MakeLoop, clock: FakeClock) -> None:
    first, second = make_loop(), make_loop()
    make_job()
    first.tick.run()
    for _ in range(4):
        clock.advance(5)
        second.tick.run()
    assert statuses()[0] == "lost"
    assert Scheduler.objects.get(pk=first.tick.lease.scheduler_id).stopped_at is not None


def test_at_its_start_it_marks_the_runs_of_dead_schedulers_as_lost(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job()
    make_loop().tick.run()
    clock.advance(LEASE_SECONDS)
    make_loop()
    assert statuses() == ["lost"]


def test_a_run_is_started_only_under_the_lease_that_it_was_claimed_under(
    make_loop: MakeLoop, clock: FakeClock, calls: Calls
) -> None:
    make_job()
    loop = make_loop()
    loop.tick.run()
    Scheduler.objects.update(stopped_at=clock.now())
    (held,) = loop.tick.executors.take_back()
    clock.advance(HEARTBEAT_SECONDS)
    loop.tick.run()
    executor(loop).submit_all([held])
    executor(loop).work()
    assert calls == []


# --- APScheduler's side ----------------------------------------------------------------------------------------------


def test_listeners_hear_of_each_end(make_loop: MakeLoop) -> None:
    make_job("good")
    make_job("bad", func="tests:fail")
    loop = make_loop()
    heard: list[tuple[str, int]] = []
    loop.add_listener(lambda event: heard.append((event.job_id, event.code)), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    settle(loop)
    assert sorted(heard) == [("bad", EVENT_JOB_ERROR), ("good", EVENT_JOB_EXECUTED)]


def heard_by(loop: Loop, code: int) -> list[Any]:
    heard: list[Any] = []
    loop.add_listener(heard.append, code)
    return heard


def test_listeners_get_what_a_function_returned(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job("good", func="tests:returns_an_object")
    loop = make_loop()
    heard = heard_by(loop, EVENT_JOB_EXECUTED)
    clock.advance(3)
    settle(loop)
    (event,) = heard
    assert (event.job_id, event.scheduled_run_time, event.jobstore) == ("good", NOW, "default")
    assert isinstance(event.retval, Exception)
    assert (event.exception, event.traceback) == (None, None)
    run = Run.objects.get()
    assert (event.run_id, event.status) == (run.pk, "succeeded")
    assert run.scheduled_time == event.scheduled_run_time


def test_listeners_get_what_a_function_raised(make_loop: MakeLoop) -> None:
    make_job("bad", func="tests:fail")
    loop = make_loop()
    heard = heard_by(loop, EVENT_JOB_ERROR)
    settle(loop)
    (event,) = heard
    assert (type(event.exception), str(event.exception)) == (RuntimeError, "it went wrong")
    assert event.exception.__traceback__ is not None
    assert "in fail" in event.traceback
    assert (event.scheduled_run_time, event.retval, event.status) == (NOW, None, "failed")


def test_listeners_get_the_json_of_what_a_function_in_a_process_returned(make_loop: MakeLoop) -> None:
    loop = make_loop()
    heard = heard_by(loop, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    events = Events(loop._dispatch_event, lambda: True)
    events.finished(outcome(1, result='{"a": 1}'))
    events.finished(outcome(2, status=RunStatus.FAILED, error="ValueError: no", traceback="Traceback …"))
    events.finished(outcome(3, status=RunStatus.CANCELLED, reason="cancelled by ann"))
    assert heard[0].retval == {"a": 1}
    assert (str(heard[1].exception), heard[1].traceback) == ("ValueError: no", "Traceback …")
    assert (str(heard[2].exception), heard[2].status) == ("cancelled by ann", "cancelled")


def test_nothing_is_kept_of_a_call_that_no_listener_wants(make_loop: MakeLoop) -> None:
    make_job("good", func="tests:returns_an_object")
    loop = make_loop()
    loop.tick.run()
    executor(loop).work()
    assert [ended.called for ended in loop.tick.recorder.batch().outcomes] == [None]


def test_listeners_hear_of_missed_and_skipped_runs(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job("late", misfire_grace_time=1)
    make_job("busy", next_run_time=after(5), trigger={"type": "interval", "seconds": 5})
    make_scheduler("another")
    make_run("busy", status=RunStatus.RUNNING, scheduler_id="another")
    loop = make_loop()
    heard: list[tuple[str, int]] = []
    loop.add_listener(
        lambda event: heard.append((event.job_id, event.code)), EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
    )
    clock.advance(5)
    loop.tick.run()
    assert sorted(heard) == [("busy", EVENT_JOB_MAX_INSTANCES), ("late", EVENT_JOB_MISSED)]


def test_a_listener_that_raises_does_no_harm(make_loop: MakeLoop, calls: Calls) -> None:
    make_job()
    loop = make_loop()

    def fail(event: Any) -> None:
        raise RuntimeError("listener")

    loop.add_listener(fail)
    settle(loop)
    assert statuses() == ["succeeded"]


def test_shutdown_ends_it_as_a_drain_does() -> None:
    loop = Loop(local_executors(2, 1), RunningClock())  # type: ignore[arg-type]
    ended = in_thread(loop.start)
    until(lambda: loop.running and Scheduler.objects.exists())
    loop.shutdown()
    ended()
    assert Scheduler.objects.get().stopped_at is not None
    with pytest.raises(SchedulerNotRunningError):
        loop.shutdown()


# --- run once --------------------------------------------------------------------------------------------------------


def test_run_once_runs_what_is_due_and_leaves(calls: Calls) -> None:
    make_jobs(20, trigger=HOURLY)
    make_job("later", next_run_time=after(3600))
    make_run("waiting", args=["waiting"])
    loop = Loop(local_executors(3, 1), RunningClock())  # type: ignore[arg-type]
    loop.run_once()
    assert len(calls) == 21
    assert set(statuses()) == {"succeeded"}
    assert Scheduler.objects.get().stopped_at is not None
    assert loop.unfinished == 0


def test_run_once_with_nothing_to_do_leaves_at_once() -> None:
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert Scheduler.objects.get().stopped_at is not None


def test_run_once_gives_up_runs_that_do_not_end_in_time_once_it_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, released: threading.Event
) -> None:
    monkeypatch.setattr("jobs.scheduler.scheduler.DRAIN_SECONDS", 0.2)
    make_job(func="tests:hold", trigger=HOURLY)
    loop = Loop(local_executors(1, 1), RunningClock())  # type: ignore[arg-type]
    ended = in_thread(loop.run_once)
    until(lambda: statuses() == ["running"])
    loop.drain()
    ended()
    assert statuses() == ["lost"]
    assert loop.unfinished == 1


def test_run_once_catches_up_with_every_due_fire_time(calls: Calls) -> None:
    make_job(coalesce=False, max_instances=1000, trigger=HOURLY, next_run_time=after(-249 * 3600),
             anchor=after(-250 * 3600))  # fmt: skip
    Loop(local_executors(4, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert len(calls) == 250


def test_run_once_outlives_a_database_that_fails_for_a_moment(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(trigger=HOURLY)
    real = claims.claim_due

    def lose_the_answer(*args: Any, **named: Any) -> Any:
        monkeypatch.setattr(claims, "claim_due", real)
        real(*args, **named)
        raise OperationalError("the connection broke at COMMIT")

    monkeypatch.setattr(claims, "claim_due", lose_the_answer)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert len(calls) == 1
    assert statuses() == ["succeeded"]


class SlowToStart(RunningClock):
    """A clock that delays each start: the thread has taken the run from the queue, and has not reported its start."""

    def __init__(self, seconds: float = 60) -> None:
        """Delay starts until `go` is set, by at most `seconds` each."""
        super().__init__()
        self.go = threading.Event()
        self._delay = seconds

    def now(self) -> Any:
        """Return the current time; in the executor's threads after the delay."""
        if threading.current_thread().name.startswith("thread-"):
            self.go.wait(self._delay)
        return super().now()


def test_run_once_waits_for_a_run_that_is_about_to_start(calls: Calls) -> None:
    make_job(trigger=HOURLY)
    Loop(local_executors(1, 1), SlowToStart(0.3)).run_once()  # type: ignore[arg-type]
    assert len(calls) == 1
    assert statuses() == ["succeeded"]


def test_a_drain_waits_for_a_run_that_is_about_to_start(calls: Calls) -> None:
    make_job(trigger=HOURLY)
    clock = SlowToStart()
    loop = Loop(local_executors(1, 1), clock)  # type: ignore[arg-type]
    ended = in_thread(loop.start)
    until(lambda: loop.tick.executors.taken and not loop.tick.executors.queued)
    loop.drain()
    until(lambda: loop._drain_until < inf, what="the drain")
    clock.go.set()
    ended()
    assert len(calls) == 1
    assert statuses() == ["succeeded"]


def test_a_drain_gives_back_a_run_that_no_thread_has_taken(
    calls: Calls, released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its end gives runs back, too, and so does a tick whose thread starts nothing for long.
    monkeypatch.setattr("jobs.scheduler.scheduler.DRAIN_SECONDS", 300)
    monkeypatch.setattr("jobs.scheduler.tick.STALL_SECONDS", 300)
    make_job(func="tests:hold", trigger=HOURLY)
    loop = Loop(local_executors(1, 1), RunningClock())  # type: ignore[arg-type]
    ended = in_thread(loop.start)
    until(lambda: statuses() == ["running"])
    holder = loop.tick.lease.scheduler_id
    queued = make_run("queued", scheduler_id=holder)
    loop.tick.executors.submit([held_run(queued.pk, func="tests:record", scheduler_id=holder)])
    loop.drain()
    until(lambda: not loop.tick.executors.queued, 30, "the return of the run")  # before the other one ends
    released.set()
    ended()
    assert calls == []
    assert Run.objects.values_list("status", "scheduler_id").get(job_id="queued") == ("queued", None)


# --- transactions that functions leave open --------------------------------------------------------------------------


LEAVING = pytest.mark.parametrize("func", ["tests:leave_open", "tests:begin"])


@LEAVING
def test_a_transaction_left_open_fails_its_run_and_not_the_next(func: str) -> None:
    make_job("a", func=func, trigger=HOURLY, next_run_time=after(-1))
    make_job("b", func="tests:select", trigger=HOURLY)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    first, second = Run.objects.order_by("id")
    assert (first.status, first.error) == (
        RunStatus.FAILED, "RuntimeError: the function left a transaction open: it was rolled back"
    )  # fmt: skip
    assert (second.status, second.result) == (RunStatus.SUCCEEDED, 1)


@LEAVING
def test_what_a_function_wrote_in_a_transaction_left_open_is_rolled_back(func: str) -> None:
    make_job("a", func=func, trigger=HOURLY)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert Job.objects.get().name == "a"


@pytest.mark.usefixtures("postgresql_only")
def test_a_connection_that_broke_under_a_function_is_replaced_for_the_next() -> None:
    make_job("a", func="tests:close_connection", trigger=HOURLY, next_run_time=after(-1))
    make_job("b", func="tests:select", trigger=HOURLY)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert Run.objects.get(job_id="b").status == RunStatus.SUCCEEDED


def test_a_connection_that_a_function_left_without_autocommit_is_replaced_for_the_next() -> None:
    make_job("a", func="tests:no_autocommit", trigger=HOURLY, next_run_time=after(-1))
    make_job("b", func="tests:select", trigger=HOURLY)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert Run.objects.get(job_id="b").status == RunStatus.SUCCEEDED


@pytest.mark.usefixtures("postgresql_only")
def test_a_connection_that_broke_while_it_was_made_is_replaced_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[Any] = []
    prepare = type(connections["default"]).init_connection_state

    def break_once(own: Any) -> None:
        if not broken and threading.current_thread() is not threading.main_thread():
            broken.append(own.connection)
            own.connection.close()
        prepare(own)

    monkeypatch.setattr(type(connections["default"]), "init_connection_state", break_once)
    make_job("a", func="tests:echo", trigger=HOURLY, next_run_time=after(-2))
    make_job("b", func="tests:select", trigger=HOURLY, next_run_time=after(-1))
    make_job("c", func="tests:select", trigger=HOURLY)
    Loop(local_executors(1, 1), RunningClock()).run_once()  # type: ignore[arg-type]
    assert broken
    assert Run.objects.get(job_id="c").status == RunStatus.SUCCEEDED
