"""The writes of a Celery worker: starts, output, outcomes and its heartbeat; and the end of its lease."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from jobs.calls.output import Output
from jobs.calls.runner import Activity
from jobs.core.held import CallEnd, Outcome
from jobs.core.runs import RunStatus
from jobs.models import Incident, Job, Run, Worker
from jobs.scheduler.batches import FLUSH_SECONDS
from jobs.scheduler.store import dispatch
from jobs.scheduler.store.connection import DatabaseReplaced
from jobs.scheduler.store.dispatch import Dispatch
from jobs.scheduler.store.recovery import FORGOTTEN
from jobs.scheduler.store.starts import start_runs
from jobs.selectors.workers import Fleet
from jobs.worker import ledger as module
from jobs.worker.ledger import AHEAD_OF_ONE, LEASE_OVER, SHOW_SECONDS, Ledger
from jobs.worker.membership import Membership
from jobs.worker.starts import StartRequest
from tests.fakes import FOREVER, NOW, FakeClock, after, make_job

from .conftest import failing_database
from .test_dispatch import dispatched

pytestmark = pytest.mark.django_db

lease_until = Membership.lease_until


class Told:
    """The calls that the slots get."""

    def __init__(self) -> None:
        """Start without calls."""
        self.cancelled: list[tuple[int, str]] = []
        self.given_up: list[str] = []
        self.outcomes: list[Outcome] = []
        self.ended: set[int] = set()
        self.failures = 0

    def give_up(self, reason: str, only: Collection[int] | None) -> None:
        """Note it."""
        if only is None:
            self.given_up.append(reason)
        else:
            self.ended |= set(only)

    def fail(self) -> None:
        """Count it."""
        self.failures += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def ledger(clock: FakeClock, told: Told, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that has joined. By the clock of the database, which is the real one, its lease does not end."""
    monkeypatch.setattr(Membership, "lease_until", FOREVER)
    made = Ledger(
        clock, Membership(clock, "w@host", ["reports"], 2),  # type: ignore[arg-type]
        cancel=lambda run_id, reason: told.cancelled.append((run_id, reason)), kill_runs=told.give_up,
        fail=told.fail, ended=told.outcomes.append,
    )  # fmt: skip
    made.step()
    return made


def wanted(ledger: Ledger, dispatch: Dispatch) -> StartRequest:
    """Ask as a slot does, without waiting."""
    return ledger._starts.put(dispatch)


def started(ledger: Ledger, clock: FakeClock, **fields: Any) -> tuple[Run, Activity]:
    """Start a run as a slot does."""
    run, one = dispatched(**fields)
    asked = wanted(ledger, one)
    ledger.step()
    held = asked.answer.get_nowait()
    assert held is not None
    activity = Activity(held, clock.now(), Output())
    ledger.recorder.resumed(activity)
    return run, activity


def finish(ledger: Ledger, clock: FakeClock, activity: Activity, status: str = "succeeded", **ended: Any) -> None:
    """End a run as a slot does, and let the time pass for which outcomes wait."""
    ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus(status), **ended)))
    ledger.step()
    clock.advance(FLUSH_SECONDS)


def test_a_worker_joins_with_its_queues_and_slots(ledger: Ledger) -> None:
    worker = Worker.objects.get()
    assert (worker.id, worker.name, worker.queues, worker.slots) == (
        ledger.membership.worker_id, "w@host", ["reports"], 2
    )  # fmt: skip
    assert (worker.heartbeat_at, worker.lease_until) == (NOW, after(15))


def test_its_row_says_which_broker_it_uses_without_credentials(ledger: Ledger, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "amqp://anna:secret@mq/reports"}
    ledger.membership.join()
    assert sorted(Worker.objects.values_list("broker", flat=True)) == ["", "amqp://mq:5672/reports"]


def test_it_beats_every_five_seconds(ledger: Ledger, clock: FakeClock) -> None:
    clock.advance(5)
    ledger.step()
    assert Worker.objects.get().lease_until == after(20)


def test_queues_that_it_cannot_serve_are_out_of_its_row_with_the_next_step(ledger: Ledger) -> None:
    ledger.serve([])
    ledger.step()
    assert Worker.objects.get().queues == []
    ledger.serve(["reports"])
    ledger.step()
    assert Worker.objects.get().queues == ["reports"]


def test_what_is_told_while_a_heartbeat_is_on_its_way_is_written_with_the_next_step(
    ledger: Ledger, clock: FakeClock
) -> None:
    def stop_meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and ledger.membership.slots:
            ledger.drain()
        return execute(sql, params, many, context)

    clock.advance(5)
    with connection.execute_wrapper(stop_meanwhile):
        ledger.step()
    assert Worker.objects.get().slots == 2
    ledger.step()
    assert Worker.objects.get().slots == 0


def test_the_schedulers_learn_at_once_that_runs_are_short_and_later_that_they_are_long(
    ledger: Ledger, clock: FakeClock
) -> None:
    make_job()
    clock.advance(1)
    _, activity = started(ledger, clock)
    clock.advance(0.01)
    finish(ledger, clock, activity)
    ledger.step()
    ledger.step()
    assert Worker.objects.get().ahead == AHEAD_OF_ONE
    for seconds, ahead in ((0.2, AHEAD_OF_ONE), (0.4, 0)):
        _, activity = started(ledger, clock, scheduled_time=after(seconds))
        activity.started_at = after(-100)
        finish(ledger, clock, activity)
        ledger.step()
        clock.advance(seconds - FLUSH_SECONDS)
        ledger.step()
        assert Worker.objects.get().ahead == ahead


def test_many_short_runs_in_a_second_are_sent_ahead_and_few_are_not(ledger: Ledger, clock: FakeClock) -> None:
    make_job()
    ledger.membership.ready = 4
    for burst, ahead in ((10, 40), (1, AHEAD_OF_ONE)):
        for _ in range(burst):
            clock.advance(0.01)
            _, activity = started(ledger, clock, scheduled_time=clock.now())
            clock.advance(0.01)
            ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
        ledger.step()
        clock.advance(0.6)
        ledger.step()  # writes the ends
        ledger.step()  # writes a heartbeat, because the number is far off
        assert Worker.objects.get().ahead == ahead
        clock.advance(1.5)


def test_a_run_is_on_record_as_running_before_its_function_is_called(ledger: Ledger, clock: FakeClock) -> None:
    run, _ = started(ledger, clock)
    run.refresh_from_db()
    assert (run.status, run.scheduler_id, run.worker) == (
        "running", ledger.membership.worker_id, ledger.membership.worker_id
    )  # fmt: skip


def test_a_message_that_comes_twice_starts_one_run(ledger: Ledger, clock: FakeClock) -> None:
    _, one = dispatched()
    first, second = wanted(ledger, one), wanted(ledger, one)
    ledger.step()
    third = wanted(ledger, one)
    ledger.step()
    answers = [asked.answer.get_nowait() for asked in (first, second, third)]
    assert [answer is not None for answer in answers] == [True, False, False]


def test_output_and_progress_are_written_while_a_run_runs(ledger: Ledger, clock: FakeClock) -> None:
    run, activity = started(ledger, clock)
    activity.output.write("half way\n")
    activity.context.progress_made = (1, 2)
    clock.advance(1)
    ledger.step()
    run.refresh_from_db()
    assert (run.output, run.progress_done, run.progress_total) == ("half way\n", 1, 2)


def test_the_output_of_a_run_is_looked_for_although_its_slot_has_not_begun_when_the_wait_does(ledger: Ledger) -> None:
    _, one = dispatched()
    wanted(ledger, one)
    ledger.step()
    assert ledger._wait_seconds() <= SHOW_SECONDS


def test_a_request_to_cancel_reaches_the_slot(ledger: Ledger, clock: FakeClock, told: Told) -> None:
    run, _ = started(ledger, clock)
    Run.objects.filter(pk=run.pk).update(cancel_requested_at=NOW, reason="cancelled by anna")
    clock.advance(1)
    ledger.step()
    assert told.cancelled == [(run.pk, "cancelled by anna")]


def test_the_end_of_a_run_is_written_with_the_counters_of_its_job(ledger: Ledger, clock: FakeClock) -> None:
    make_job()
    run, activity = started(ledger, clock)
    finish(ledger, clock, activity, result="5")
    ledger.step()
    run.refresh_from_db()
    assert (run.status, run.result, Job.objects.get().run_count) == ("succeeded", 5, 1)


def test_others_hear_of_an_outcome_once_it_is_written(ledger: Ledger, clock: FakeClock, told: Told) -> None:
    _, activity = started(ledger, clock)
    given_up, other = started(ledger, clock, scheduled_time=after(1))
    Run.objects.filter(pk=given_up.pk).update(status="lost", finished_at=NOW)
    ledger.recorder.finished(other.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    finish(ledger, clock, activity, status="failed", error="ValueError: no")
    assert told.outcomes == []
    ledger.step()
    assert [(one.run_id, one.status, one.error) for one in told.outcomes] == [
        (activity.run.id, "failed", "ValueError: no")
    ]


def test_outcomes_wait_for_others_while_runs_start(ledger: Ledger, clock: FakeClock) -> None:
    _, activity = started(ledger, clock)
    ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    ledger.step()
    clock.advance(FLUSH_SECONDS / 2)
    _, activity = started(ledger, clock, scheduled_time=after(1))
    ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    assert Run.objects.filter(status="running").count() == 2
    assert ledger._wait_seconds() == pytest.approx(FLUSH_SECONDS / 2)
    clock.advance(FLUSH_SECONDS / 2)
    ledger.step()
    assert Run.objects.filter(status="succeeded").count() == 2


def test_what_the_database_does_not_take_is_kept(ledger: Ledger, clock: FakeClock) -> None:
    run, activity = started(ledger, clock)
    finish(ledger, clock, activity)
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        ledger.step()
    ledger.step()
    run.refresh_from_db()
    assert run.status == "succeeded"


def test_a_start_that_the_database_does_not_take_is_asked_for_again(ledger: Ledger) -> None:
    _, one = dispatched()
    asked = wanted(ledger, one)
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        ledger.step()
    assert asked.answer.empty()
    ledger.step()
    assert asked.answer.get_nowait() is not None


def test_a_run_whose_start_was_on_its_way_until_the_lease_was_over_has_not_started(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock of the database is the real one: by that, this lease is over when the statement comes.
    monkeypatch.setattr(Membership, "lease_until", datetime.now(UTC) - timedelta(seconds=1))
    run, one = dispatched()
    asked = wanted(ledger, one)
    ledger.step()
    clock.advance(15)
    ledger._step_safely()
    run.refresh_from_db()
    assert (asked.answer.get_nowait(), run.status, run.started_at) == (None, "queued", None)


def test_a_lease_ends_by_the_databases_clock_when_its_row_says_so(ledger: Ledger, clock: FakeClock) -> None:
    clock.advance(4)
    assert lease_until.fget(ledger.membership) == Worker.objects.get().lease_until == after(15)


def test_when_its_lease_is_over_a_worker_gives_up_its_runs_and_joins_under_a_new_id(
    ledger: Ledger, clock: FakeClock, told: Told
) -> None:
    run, _ = started(ledger, clock)
    old = ledger.membership.worker_id
    clock.advance(15)
    ledger._step_safely()
    run.refresh_from_db()
    assert told.given_up == ["its worker could not renew its lease"]
    assert (run.status, ledger.membership.worker_id != old) == ("lost", True)
    assert Worker.objects.get(pk=old).stopped_at is not None


def test_the_guard_ends_all_runs_when_the_lease_is_over_and_says_so_once(
    ledger: Ledger, clock: FakeClock, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.advance(seconds)
        return len(waits) == 3

    ledger._closing.wait = wait  # type: ignore[method-assign,assignment]
    clock.advance(4)
    with caplog.at_level("ERROR", "cronzimus.worker"):
        ledger._watch()
    assert (waits[0], told.given_up) == (11.0, [LEASE_OVER] * 2)
    (record,) = caplog.records
    assert "is over: its last heartbeat was 15 s ago; all its runs are ended" in record.getMessage()


def test_a_database_that_fails_is_not_tried_again_because_a_run_ends(ledger: Ledger, clock: FakeClock) -> None:
    clock.advance(5)
    with failing_database(OperationalError("gone")) as tried:
        ledger._step_safely()
        before = len(tried)
        ledger._step_safely()
    assert (before > 0, len(tried)) == (True, before)


def test_an_outcome_under_an_old_lease_is_written_unless_the_run_was_given_up(ledger: Ledger, clock: FakeClock) -> None:
    run, activity = started(ledger, clock)
    gone, late = started(ledger, clock, scheduled_time=after(1))
    Run.objects.filter(pk=gone.pk).update(status="lost", finished_at=NOW)
    for one in (activity, late):
        ledger.recorder.finished(one.outcome(after(1), CallEnd(RunStatus.SUCCEEDED)))
    clock.advance(15)
    ledger._step_safely()
    run.refresh_from_db()
    gone.refresh_from_db()
    assert (run.status, gone.status) == ("succeeded", "lost")


def test_a_worker_that_others_gave_up_joins_again(ledger: Ledger, clock: FakeClock, told: Told) -> None:
    Worker.objects.update(stopped_at=NOW)
    clock.advance(5)
    ledger.step()
    assert told.given_up != []
    assert Worker.objects.filter(stopped_at__isnull=True).count() == 1


def test_runs_whose_end_the_database_has_forgotten_are_lost(ledger: Ledger, clock: FakeClock) -> None:
    run, activity = started(ledger, clock)
    still_running, _ = started(ledger, clock, scheduled_time=after(1))
    finish(ledger, clock, activity)
    ledger.step()
    Run.objects.filter(pk=run.pk).update(status="running", finished_at=None)  # as a failover may leave it
    clock.advance(5)
    ledger.step()
    run.refresh_from_db()
    still_running.refresh_from_db()
    assert (run.status, run.reason, still_running.status) == ("lost", FORGOTTEN, "running")


@pytest.mark.parametrize("how", ["lost", "removed"])
def test_a_run_that_others_gave_up_is_ended_with_the_next_heartbeat_and_nothing_is_written(
    ledger: Ledger, clock: FakeClock, told: Told, how: str
) -> None:
    run, activity = started(ledger, clock)
    started(ledger, clock, scheduled_time=after(1))
    _, ended = started(ledger, clock, scheduled_time=after(2))
    rows = Run.objects.filter(pk=run.pk)
    rows.update(status="lost", finished_at=NOW, reason="by others") if how == "lost" else rows.delete()
    clock.advance(5 - FLUSH_SECONDS)
    finish(ledger, clock, ended)  # its outcome is written with the heartbeat, and not before
    ledger.step()
    assert (told.ended, told.given_up) == ({run.pk}, [])
    finish(ledger, clock, activity, status="lost", reason="given up")
    ledger.step()
    assert list(rows.values_list("status", "reason")) == [("lost", "by others")] * (how == "lost")
    assert ledger._own == set(Run.objects.filter(status="running").values_list("id", flat=True))


def test_a_run_whose_start_is_asked_for_again_is_not_one_of_them(ledger: Ledger, clock: FakeClock) -> None:
    run, one = dispatched()
    start_runs([one], ledger.membership.worker_id, NOW, FOREVER)  # and the answer was lost
    asked = wanted(ledger, one)
    ledger._starts._take_requests()
    clock.advance(5)
    ledger.step()
    run.refresh_from_db()
    assert (run.status, asked.answer.get_nowait() is not None) == ("running", True)


def test_a_worker_whose_database_file_was_replaced_ends(
    ledger: Ledger, clock: FakeClock, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise DatabaseReplaced("the database file was replaced: start again")

    monkeypatch.setattr(module, "require_current_file", refuse)
    monkeypatch.setattr(module, "loop_connection", nullcontext)
    _, one = dispatched()
    asked = wanted(ledger, one)
    clock.advance(5)
    ledger._work()
    assert (told.failures, told.given_up) == (1, [LEASE_OVER])
    assert "the worker ends: the database file was replaced: start again" in caplog.text
    assert asked.answer.get_nowait() is None
    assert ledger.start_run(one) is None, "nobody is there to answer"


def test_a_run_that_is_sent_back_gets_another_message_and_the_old_one_starts_nothing(
    ledger: Ledger, clock: FakeClock
) -> None:
    run, one = dispatched(dispatched_at=NOW)
    ledger.send_back(one)
    with failing_database(OperationalError("gone")), pytest.raises(OperationalError):
        ledger.step()
    ledger.step()
    (again,) = dispatch.unpublished()
    assert (again.run_id, again.queue, again.dispatch_id != one.dispatch_id) == (run.pk, "reports", True)
    run.refresh_from_db()
    assert (run.status, run.dispatches, run.dispatched_at) == ("queued", 2, None)
    asked = wanted(ledger, one)
    ledger.step()
    assert asked.answer.get_nowait() is None


def test_a_run_that_was_cancelled_or_sent_again_before_it_is_sent_back_is_left_alone(ledger: Ledger) -> None:
    cancelled, first = dispatched(dispatched_at=NOW)
    Run.objects.filter(pk=cancelled.pk).update(status="cancelled", finished_at=NOW)
    renewed, second = dispatched(scheduled_time=after(1), dispatched_at=NOW)
    Run.objects.filter(pk=renewed.pk).update(dispatch_id="other")
    for one in (first, second):
        ledger.send_back(one)
    ledger.step()
    assert list(Run.objects.order_by("id").values_list("status", "dispatch_id", "dispatched_at")) == [
        ("cancelled", first.dispatch_id, NOW), ("queued", "other", NOW)
    ]  # fmt: skip


def test_a_worker_announces_how_many_of_its_slots_have_a_process(ledger: Ledger) -> None:
    for slots in (0, 1):
        ledger.set_ready(slots)
        ledger.step()
        assert Worker.objects.get().slots == slots
    ledger.drain()
    ledger.set_ready(2)
    ledger.step()
    assert Worker.objects.get().slots == 0


def test_a_worker_without_a_process_serves_no_queue_and_one_that_drains_may_restart(
    ledger: Ledger, settings: Any
) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://localhost"}
    make_job(executor="celery", queue="reports", next_run_time=NOW)
    ledger.set_ready(0)
    ledger.step()
    assert Fleet(NOW).unserved == ["reports"]
    ledger.membership.join()
    assert Worker.objects.filter(queues=["reports"]).count() == 0
    ledger.set_ready(2)
    ledger.step()
    assert Fleet(NOW).unserved == []
    ledger.drain()
    ledger.set_ready(2)
    ledger.step()
    assert (Fleet(NOW).unserved, ledger.membership.slots) == ([], 0)


def test_a_worker_that_drains_has_no_slots(ledger: Ledger) -> None:
    ledger.drain()
    ledger.step()
    assert Worker.objects.get().slots == 0


def test_a_message_of_another_site_is_warned_of_and_does_not_keep_ours_from_starting(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    run, one = dispatched()
    asked = [wanted(ledger, Dispatch(run.pk, "", "0" * 32)), wanted(ledger, one)]
    ledger.step()
    assert [bool(each.answer.get_nowait()) for each in asked] == [False, True]
    assert f"dropped a message for run {run.pk} that this database has not sent" in caplog.text


def test_failures_open_an_incident_and_a_success_closes_it(ledger: Ledger, clock: FakeClock) -> None:
    make_job()
    for seconds, status, state in ((0, "failed", "open"), (1, "succeeded", "recovered")):
        _, activity = started(ledger, clock, scheduled_time=after(seconds))
        finish(ledger, clock, activity, status=status)
        ledger.step()
        assert Incident.objects.get().state == state
