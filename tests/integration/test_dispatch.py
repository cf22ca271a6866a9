"""Runs on workers, in the database: claims, starts, lost messages, and dead workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.checks import CheckMessage
from django.db import InterfaceError, OperationalError
from django.test import override_settings

from jobs import services
from jobs.core.exceptions import InvalidRequest
from jobs.core.runs import DISPATCHED, Executor
from jobs.models import Job, Run, Worker
from jobs.scheduler.executors import Hooks, RunExecutor
from jobs.scheduler.executors.remote import AT_ONCE, RemoteExecutor
from jobs.scheduler.scheduler import Scheduler
from jobs.scheduler.store import admission, claims, dispatch, outcomes, recovery, starts, workers
from jobs.scheduler.store.dispatch import Dispatch
from jobs.scheduler.store.workers import LivingWorker, free_places
from tests.fakes import (
    FOREVER,
    NOW,
    FakeClock,
    after,
    by,
    inline_executors,
    make_hooks,
    make_job,
    make_run,
    make_scheduler,
    make_worker,
    outcome,
)

from .conftest import failing_database

pytestmark = pytest.mark.django_db
LANE = "celery:reports"
BROKER = override_settings(CRONZIMUS={"CELERY_BROKER_URL": "redis://host/0"})


def remote_job(job_id: str = "job", **fields: Any) -> Job:
    """Write a due job of a queue."""
    return make_job(job_id, **{"executor": Executor.CELERY, "queue": "reports", **fields})


def dispatched(**fields: Any) -> tuple[Run, Dispatch]:
    """Write a run that is on its way to a worker."""
    dispatch_id = uuid4().hex
    defaults = {"executor": Executor.CELERY, "queue": "reports", "scheduler_id": DISPATCHED, "dispatches": 1}
    run = make_run(**{**defaults, "dispatch_id": dispatch_id, **fields})
    return run, Dispatch(run.pk, "reports", dispatch_id)


# --- the claim -------------------------------------------------------------------------------------------------------


def test_a_claim_writes_the_run_of_a_queue_with_its_dispatch_and_without_a_scheduler() -> None:
    remote_job()
    make_job("local")
    claimed = claims.claim_due("s1", {LANE: 2, "thread": 2}, NOW)
    by_job = {run.job_id: run for run in claimed.runs}
    run, local = Run.objects.get(job_id="job"), Run.objects.get(job_id="local")
    assert (run.executor, run.queue, run.scheduler_id, run.dispatches) == ("celery", "reports", DISPATCHED, 1)
    assert (by_job["job"].executor, by_job["job"].lane, by_job["job"].dispatch_id) == ("celery", LANE, run.dispatch_id)
    assert (local.scheduler_id, local.queue, local.dispatch_id, local.dispatches) == ("s1", None, None, None)


@pytest.mark.parametrize("capacity", [{"thread": 5, "process": 5}, {"thread": 5}, {"thread": 5, "celery:other": 5}])
def test_jobs_of_a_queue_without_room_stay_due(capacity: Mapping[str, int]) -> None:
    remote_job()
    make_job("local")
    assert [run.job_id for run in claims.claim_due("s1", capacity, NOW).runs] == ["local"]
    assert Job.objects.get(pk="job").next_run_time == NOW


def test_no_more_jobs_of_a_queue_are_claimed_than_it_has_room_for() -> None:
    for number in range(3):
        remote_job(f"job-{number}")
    claimed = claims.claim_due("s1", {LANE: 2, "thread": 5}, NOW)
    assert (len(claimed.runs), Run.objects.count()) == (2, 2)


def test_a_timeout_keeps_a_job_on_its_workers() -> None:
    remote_job(timeout=5)
    (run,) = claims.claim_due("s1", {LANE: 1, "process": 1}, NOW).runs
    assert (run.executor, run.timeout) == ("celery", 5)


def test_a_run_that_waits_for_its_turn_is_dispatched_when_it_may_start() -> None:
    run = make_run(executor=Executor.CELERY, queue="reports")
    other = make_run("other", executor=Executor.CELERY, queue="other")
    (taken,) = admission.admit("s1", {LANE: 1, "thread": 1}, NOW)
    run.refresh_from_db()
    other.refresh_from_db()
    assert (taken.id, taken.dispatch_id, run.scheduler_id, run.dispatches) == (run.pk, run.dispatch_id, DISPATCHED, 1)
    assert other.scheduler_id is None


def test_a_run_on_its_way_counts_for_max_instances() -> None:
    remote_job()
    dispatched(scheduled_time=after(-10))
    assert claims.claim_due("s1", {LANE: 1}, NOW).runs == []
    assert Run.objects.latest("id").status == "skipped"


def test_a_retry_stays_in_its_queue() -> None:
    remote_job(retries={"max": 1, "delay": 0, "backoff": 1, "max_delay": 0, "jitter": 0})
    run, one = dispatched()
    make_worker()
    starts.start_runs([one], "w1", NOW, FOREVER)
    outcomes.write_outcomes([outcome(run.pk, executor="celery", status="failed")], "w1", NOW)
    again = Run.objects.get(attempt=2)
    assert (again.executor, again.queue, again.dispatch_id, again.scheduler_id) == ("celery", "reports", None, None)


# --- the fence -------------------------------------------------------------------------------------------------------


def test_a_delivery_starts_its_run_once() -> None:
    run, one = dispatched()
    (started,) = starts.start_runs([one], "w1", after(1), FOREVER)
    run.refresh_from_db()
    assert (started.id, started.func, started.scheduler_id) == (run.pk, run.func, "w1")
    assert (run.status, run.scheduler_id, run.started_at, run.dispatched_at) == ("running", "w1", after(1), after(1))
    assert starts.start_runs([one], "w2", after(2), FOREVER) == []


@pytest.mark.parametrize(("seconds", "is_started"), [(-0.01, False), (60, True)])
def test_a_start_that_reaches_the_database_after_the_lease_starts_nothing(seconds: float, is_started: bool) -> None:
    run, one = dispatched()
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    assert bool(starts.start_runs([one], "w1", NOW, until)) is is_started
    run.refresh_from_db()
    assert (run.status, run.started_at) == (("running", NOW) if is_started else ("queued", None))


def test_a_worker_that_lost_the_answer_may_ask_again() -> None:
    _, one = dispatched()
    starts.start_runs([one], "w1", NOW, FOREVER)
    assert [run.id for run in starts.start_runs([one], "w1", NOW, FOREVER)] == [one.run_id]


def test_it_may_do_so_for_a_run_that_is_to_be_cancelled_since_and_nobody_else_may() -> None:
    run, one = dispatched()
    starts.start_runs([one], "w1", NOW, FOREVER)
    services.cancel_run(run.pk, now=NOW)
    assert starts.start_runs([one], "w2", NOW, FOREVER) == []
    assert [started.id for started in starts.start_runs([one], "w1", NOW, FOREVER)] == [run.pk]


@pytest.mark.parametrize("fields", [
    {"status": "succeeded"}, {"status": "cancelled"}, {"cancel_requested_at": NOW}, {"dispatch_id": "0" * 32},
    {"dispatch_id": None, "scheduler_id": None},
])  # fmt: skip
def test_a_delivery_that_is_void_starts_nothing(fields: dict[str, Any]) -> None:
    run, one = dispatched()
    Run.objects.filter(pk=run.pk).update(**fields, **({"finished_at": NOW} if "status" in fields else {}))
    assert starts.start_runs([one], "w1", NOW, FOREVER) == []


def test_a_run_that_is_cancelled_on_its_way_ends_at_once_and_never_starts() -> None:
    run, one = dispatched()
    with by("anna"):
        services.cancel_run(run.pk, now=NOW)
    run.refresh_from_db()
    assert (run.status, run.reason) == ("cancelled", "cancelled by anna")
    assert starts.start_runs([one], "w1", NOW, FOREVER) == []


def test_a_run_that_runs_is_cancelled_by_its_worker() -> None:
    run, one = dispatched()
    starts.start_runs([one], "w1", NOW, FOREVER)
    assert services.cancel_run(run.pk, now=NOW).status == "running"
    run.refresh_from_db()
    assert run.cancel_requested_at == NOW


# --- capacity --------------------------------------------------------------------------------------------------------


def test_a_queue_may_be_given_as_many_runs_as_its_living_workers_have_free_slots() -> None:
    make_worker("w1", slots=3, ahead=1)
    make_worker("dead", slots=5, lease_until=NOW)
    make_worker("stopped", slots=5, stopped_at=NOW)
    dispatched()
    _, one = dispatched(scheduled_time=after(1))
    starts.start_runs([one], "w1", NOW, FOREVER)
    assert workers.queue_capacity(NOW) == {LANE: 2}


def test_without_a_worker_no_queue_is_given_anything() -> None:
    assert workers.queue_capacity(NOW) == {}


def test_a_run_on_its_way_takes_room_from_queues_that_share_its_workers() -> None:
    both = LivingWorker("w1", frozenset({"a", "b"}), 2, 0)
    own = LivingWorker("w2", frozenset({"c"}), 2, 0)
    assert free_places([both, own], {"w2": 1}, {"a": 1}) == dict.fromkeys(("celery:a", "celery:b", "celery:c"), 1)


@pytest.mark.parametrize("waiting", [0, 1, 5])
def test_one_tick_gives_the_queues_of_one_worker_no_more_runs_than_it_has_slots(clock: FakeClock, waiting: int) -> None:
    loop = Scheduler(inline_executors(workers=3), clock)  # type: ignore[arg-type]
    loop.open()
    Worker.objects.update(queues=["a", "b", "reports"])
    for number in range(4):
        remote_job(f"a-{number}", queue="a")
        remote_job(f"reports-{number}")
    for number in range(waiting):
        make_run(f"b-{number}", executor=Executor.CELERY, queue="b")
    for _ in range(2):
        loop.tick.run()
    assert Run.objects.filter(scheduler_id=DISPATCHED).count() == 3
    assert Run.objects.filter(scheduler_id=DISPATCHED, queue="b").count() == min(waiting, 3)
    loop.force()


# --- what is lost ----------------------------------------------------------------------------------------------------


def test_the_runs_of_a_dead_worker_are_lost_and_those_on_their_way_are_not() -> None:
    make_scheduler()
    make_worker(lease_until=after(15))
    run, one = dispatched()
    waiting, _ = dispatched(scheduled_time=after(1))
    starts.start_runs([one], "w1", NOW, FOREVER)
    assert recovery.recover_workers(after(14), lambda: after(14)) == 0
    assert recovery.recover_workers(after(15), lambda: after(15)) == 1
    run.refresh_from_db()
    waiting.refresh_from_db()
    assert (run.status, waiting.status) == ("lost", "queued")
    assert Worker.objects.get().stopped_at == after(15)


def test_a_run_that_was_started_under_a_dead_lease_is_lost() -> None:
    make_worker("gone", stopped_at=NOW)
    run, one = dispatched()
    starts.start_runs([one], "gone", NOW, FOREVER)
    assert recovery.recover_workers(NOW, lambda: NOW) == 1
    run.refresh_from_db()
    assert run.status == "lost"


def test_the_end_of_a_scheduler_loses_no_run_of_a_worker() -> None:
    make_scheduler(lease_until=NOW)
    make_worker()
    dispatched()
    _, one = dispatched(scheduled_time=after(1))
    starts.start_runs([one], "w1", NOW, FOREVER)
    assert recovery.recover(after(20), lambda: after(20)) == 0


def test_a_scheduler_without_a_broker_loses_the_runs_of_dead_workers(make_loop: Any, clock: FakeClock) -> None:
    make_worker(lease_until=after(12))
    run, one = dispatched()
    waiting, _ = dispatched(scheduled_time=after(1))
    starts.start_runs([one], "w1", NOW, FOREVER)
    loop = make_loop()
    for seconds, status in ((10, "running"), (5, "lost")):
        clock.advance(seconds)
        loop.tick.run()
        run.refresh_from_db()
        assert run.status == status
    waiting.refresh_from_db()
    assert (waiting.status, waiting.scheduler_id) == ("queued", DISPATCHED)
    assert Worker.objects.get().stopped_at == after(15)


def test_a_late_outcome_of_a_run_that_was_given_up_is_refused() -> None:
    make_job()
    make_worker(lease_until=NOW)
    run, one = dispatched()
    starts.start_runs([one], "w1", NOW, FOREVER)
    recovery.recover_workers(NOW, lambda: NOW)
    assert outcomes.write_outcomes([outcome(run.pk, executor="celery")], "w1", after(1)).outcomes == []
    run.refresh_from_db()
    assert run.status == "lost"


class SetClock(FakeClock):
    """A clock that notices that it was set when it is read, as the machine's is on SQLite."""

    def synchronise(self) -> None:
        ahead = (self.now() - NOW).total_seconds() - (self.monotonic() - 1000.0)
        if abs(ahead) > 2:
            self.jumped_at = self.monotonic()


@pytest.mark.parametrize("seconds", [3600, -60])
def test_a_publisher_that_sees_that_the_clock_was_set_gives_no_living_worker_up(seconds: float) -> None:
    clock = SetClock()
    executor = RemoteExecutor(FakeTransport(), make_hooks(clock))
    clock.advance(20)
    make_worker(lease_until=after(35))
    clock.set(after(20 + seconds))
    executor.step()
    assert Worker.objects.get().stopped_at is None


def test_a_publisher_that_stood_still_takes_no_lease_that_was_renewed_meanwhile_for_one_that_is_too_long() -> None:
    make_worker(lease_until=after(40))
    assert recovery.recover_workers(NOW, lambda: after(26)) == 0
    assert Worker.objects.get().stopped_at is None


def test_a_message_that_is_lost_is_replaced_while_a_worker_has_a_free_slot() -> None:
    worker = make_worker(slots=1)
    run, old = dispatched(dispatched_at=after(-61))
    recent, _ = dispatched(dispatched_at=after(-59), scheduled_time=after(1))
    worker.slots = 0
    worker.save()
    assert dispatch.dispatch_again(NOW) == []
    worker.slots = 1
    worker.save()
    (new,) = dispatch.dispatch_again(NOW)
    run.refresh_from_db()
    assert (new.run_id, new.dispatch_id, run.dispatches, run.dispatched_at) == (run.pk, run.dispatch_id, 2, None)
    assert starts.start_runs([old], "w1", NOW, FOREVER) == []
    assert [started.id for started in starts.start_runs([new], "w1", NOW, FOREVER)] == [run.pk]
    assert recent.dispatches == 1


def test_late_runs_of_a_full_queue_do_not_keep_the_lost_message_of_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_LOOKED_AT", 2)
    make_worker("full", queues=["full"], slots=0)
    make_worker()
    for number in range(2):
        dispatched(queue="full", dispatched_at=after(-61), scheduled_time=after(number))
    lost, _ = dispatched(dispatched_at=after(-61), scheduled_time=after(2))
    assert [new.run_id for new in dispatch.dispatch_again(NOW)] == [lost.pk]


@pytest.mark.parametrize(("dispatches", "seconds"), [(1, 60), (2, 60), (3, 120), (5, 480), (6, 600), (999, 600)])
def test_each_message_of_a_run_is_given_more_time_up_to_ten_minutes(dispatches: int, seconds: float) -> None:
    make_worker()
    run, _ = dispatched(dispatched_at=after(-seconds), dispatches=dispatches)
    assert dispatch.dispatch_again(NOW) == []
    assert [new.run_id for new in dispatch.dispatch_again(after(0.1))] == [run.pk]


def test_waiting_runs_are_dispatched_in_the_order_in_which_they_were_chosen() -> None:
    runs = [make_run(f"job-{number}", executor=Executor.CELERY, queue="reports") for number in range(5)]
    wanted = [runs[number].pk for number in (3, 0, 4, 1, 2)]
    assert [taken.id for taken in dispatch.take_for_workers(wanted, NOW)] == wanted


def test_a_run_that_is_sent_more_often_than_its_counter_counts_is_sent_all_the_same() -> None:
    make_worker()
    run, _ = dispatched(dispatched_at=after(-601), dispatches=32_767)
    assert [new.run_id for new in dispatch.dispatch_again(NOW)] == [run.pk]
    run.refresh_from_db()
    assert run.dispatches == 32_767


# --- the outbox ------------------------------------------------------------------------------------------------------


class FakeTransport:
    """A broker that notes what it gets, and refuses it while a test wants that."""

    def __init__(self) -> None:
        """Take messages."""
        self.sent: list[Dispatch] = []
        self.error: Exception | None = None
        self.refused: set[str] = set()

    def check(self) -> Sequence[CheckMessage]:
        """Find nothing."""
        return []

    def connect(self) -> None:
        """Be reached, or not."""
        if self.error is not None:
            raise self.error

    def publish(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        """Take them all, or none; but never those of a queue that is `refused`."""
        if self.error is not None:
            return dict.fromkeys((one.dispatch_id for one in dispatches), self.error)
        self.sent += [one for one in dispatches if one.queue not in self.refused]
        return {one.dispatch_id: OSError("inequivalent arg") for one in dispatches if one.queue in self.refused}

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def publisher(transport: FakeTransport, clock: FakeClock) -> RemoteExecutor:
    return RemoteExecutor(transport, make_hooks(clock))


@pytest.mark.parametrize("error", [None, OSError("vhost not found")])
def test_a_broker_that_cannot_be_reached_at_the_start_is_named(
    publisher: RemoteExecutor, transport: FakeTransport, caplog: pytest.LogCaptureFixture, error: Exception | None
) -> None:
    transport.error = error
    publisher._connect()
    said = [message for message in caplog.messages if message.startswith("cannot reach the broker")]
    assert ["OSError: vhost not found" in message for message in said] == [True] * bool(error)


def test_what_was_claimed_is_published_and_noted(publisher: RemoteExecutor, transport: FakeTransport) -> None:
    remote_job()
    publisher.submit_all(claims.claim_due("s1", {LANE: 1}, NOW).runs)
    publisher.step()
    run = Run.objects.get()
    assert transport.sent == [Dispatch(run.pk, "reports", run.dispatch_id or "")]
    assert run.dispatched_at == NOW


def test_the_trace_of_a_run_goes_with_its_message_each_time(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock
) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    make_worker(lease_until=after(20))
    run = make_run(executor=Executor.CELERY, queue="reports", traceparent=trace)
    publisher.submit_all(admission.admit("s1", {LANE: 1}, NOW))
    publisher.step()
    Run.objects.update(dispatched_at=after(-61))
    clock.advance(2)
    publisher.step()
    publisher.step()
    assert [(one.run_id, one.traceparent) for one in transport.sent] == [(run.pk, trace)] * 2


def test_a_broker_that_takes_nothing_is_tried_again_later(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock
) -> None:
    remote_job()
    transport.error = OSError("gone")
    publisher.submit_all(claims.claim_due("s1", {LANE: 1}, NOW).runs)
    publisher.step()
    assert Run.objects.get().dispatched_at is None
    transport.error = None
    publisher.step()
    assert transport.sent == [], "not at once"
    clock.advance(0.3)
    publisher.step()
    assert len(transport.sent) == 1


def test_a_queue_that_the_broker_refuses_waits_by_itself(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    transport.refused = {"bad"}
    for number in range(AT_ONCE + 1):
        remote_job(f"bad-{number}", queue="bad")
    publisher.submit_all(claims.claim_due("s1", {"celery:bad": AT_ONCE + 1}, NOW).runs)
    publisher.step()
    remote_job()
    publisher.submit_all(claims.claim_due("s1", {LANE: 1}, NOW).runs)
    publisher.step()
    assert [one.queue for one in transport.sent] == ["reports"], "at once"
    for _ in range(20):
        clock.advance(1)
        publisher.step()
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert logged == [
        f"the broker takes no messages for bad: OSError: inequivalent arg; {AT_ONCE + 1} runs wait for it"
    ]
    transport.refused = set()
    clock.advance(5)
    publisher.step()
    publisher.step()
    assert len(transport.sent) == AT_ONCE + 2


def test_one_run_that_waits_for_the_broker_is_logged_as_one(
    publisher: RemoteExecutor, transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    transport.refused = {"reports"}
    remote_job()
    publisher.submit_all(claims.claim_due("s1", {LANE: 1}, NOW).runs)
    publisher.step()
    assert "inequivalent arg; 1 run waits for it" in caplog.text


def test_runs_that_were_cancelled_while_the_broker_was_away_are_not_sent(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock
) -> None:
    transport.error = OSError("gone")
    for number in range(3):
        remote_job(f"job-{number}")
    publisher.submit_all(claims.claim_due("s1", {LANE: 3}, NOW).runs)
    publisher.step()
    Run.objects.exclude(job_id="job-2").update(status="cancelled", finished_at=NOW)
    clock.advance(2)
    publisher.step()
    transport.error = None
    clock.advance(5)
    publisher.step()
    assert [one.run_id for one in transport.sent] == [Run.objects.get(job_id="job-2").pk]


def test_what_another_scheduler_left_unpublished_is_published_after_two_looks(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock
) -> None:
    _, one = dispatched()
    publisher.step()
    assert transport.sent == [], "whoever claimed it may be about to"
    clock.advance(2)
    publisher.step()
    publisher.step()
    assert transport.sent == [one]


def test_a_broker_that_is_silent_for_many_queues_does_not_put_off_the_look_for_dead_workers(
    publisher: RemoteExecutor, transport: FakeTransport, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def publish(dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        calls.append(len(dispatches))
        assert len(calls) < 50, "it goes on for ever"
        clock.advance(3)
        return {one.dispatch_id: TimeoutError("silent") for one in dispatches}

    monkeypatch.setattr(transport, "publish", publish)
    for number in range(4):
        queue = f"q{number}"
        for count in range(AT_ONCE + 1):
            dispatched(queue=queue, scheduled_time=after(number + count * 10), dispatched_at=None)
    publisher.step()
    clock.advance(2)
    publisher.step()  # finds them a second time, and takes them up
    clock.advance(30)
    worker = make_worker(lease_until=after(40))
    for _ in range(5):
        publisher.step()
    worker.refresh_from_db()
    assert worker.stopped_at is not None
    assert calls


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_long_outage_of_the_database_is_two_lines_of_the_log(
    publisher: RemoteExecutor, clock: FakeClock, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    with failing_database(error("gone\nLINE 1: UPDATE …")):
        for _ in range(100):
            publisher.step()
            clock.advance(2)
    publisher.step()
    publisher.step()
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == [
        "runs for workers wait for the database: gone", "runs for workers go on",
    ]  # fmt: skip


def test_dead_workers_are_looked_for_once_every_living_one_has_had_the_time_to_beat(
    publisher: RemoteExecutor, clock: FakeClock
) -> None:
    make_worker(lease_until=NOW)
    publisher.step()
    assert Worker.objects.get().stopped_at is None
    clock.advance(15.1)
    publisher.step()
    assert Worker.objects.get().stopped_at is not None


def test_the_loop_sends_runs_to_workers_and_holds_none_of_them(clock: FakeClock, transport: FakeTransport) -> None:
    made: list[RemoteExecutor] = []

    def make(hooks: Hooks) -> Mapping[str, RunExecutor]:
        made.append(RemoteExecutor(transport, hooks))
        made[0].start = lambda *args: None  # type: ignore[method-assign]
        return {**inline_executors()(hooks), Executor.CELERY: made[0]}

    make_worker()
    remote_job()
    loop = Scheduler(make, clock)  # type: ignore[arg-type]
    loop.open()
    loop.tick.run()
    made[0].step()
    assert [one.queue for one in transport.sent] == ["reports"]
    assert not loop.tick.at_work
    loop.force()


def test_without_workers_the_loop_asks_for_none(make_loop: Any, statements: Any) -> None:
    make_job()
    loop = make_loop()
    with statements() as found:
        loop.tick.run()
    assert not any("cronzimus_worker" in sql for sql in found)


def test_once_does_not_wait_for_a_worker_that_is_not_there(make_loop: Any) -> None:
    remote_job()
    make_run("other", executor=Executor.CELERY, queue="reports")
    loop = make_loop()
    assert not loop._work_left(NOW)
    make_job("local")
    assert loop._work_left(NOW)


# --- the definition --------------------------------------------------------------------------------------------------


def test_a_job_for_workers_is_refused_without_a_broker_with_the_name_of_the_setting() -> None:
    body = {"id": "x", "func": "tests:record", "trigger": "interval", "seconds": 10, "executor": "celery"}
    with pytest.raises(InvalidRequest) as refused:
        services.add_job(body, now=NOW)
    assert "CELERY_BROKER_URL" in refused.value.fields["executor"]
    with BROKER:
        job = services.add_job(body, now=NOW)
    assert (job.executor, job.queue) == ("celery", "cronzimus")


@BROKER
def test_a_request_for_a_run_goes_to_the_jobs_queue() -> None:
    remote_job(next_run_time=None)
    run = services.run_job("job", now=NOW)
    assert (run.executor, run.queue) == ("celery", "reports")
