"""A row that a slow request has locked holds up its own run, or the runs of its own job, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.db import connection, models

from jobs.calls.output import Output
from jobs.calls.runner import Activity
from jobs.core.dispatches import COUNTS_AS_LOST_AFTER
from jobs.core.held import CallEnd
from jobs.core.runs import RunStatus
from jobs.models import Incident, Job, Run, Worker
from jobs.scheduler import batches
from jobs.scheduler.releases import Releases
from jobs.scheduler.scheduler import Scheduler
from jobs.scheduler.store import dispatch, recovery
from jobs.worker.ledger import Ledger
from tests.fakes import NOW, FakeClock, after, held_run, make_job, make_run, make_scheduler, make_worker, outcome

from .loop_support import step
from .test_dispatch import dispatched
from .test_ledger import Told, finish, ledger, started, told, wanted

__all__ = ["ledger", "told"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql_only", "short_waits")]
MakeLoop = Callable[..., Scheduler]


@pytest.fixture
def short_waits(postgresql_only: None, transactional_db: None) -> Iterator[None]:
    """Wait for locks as the loop does (`store.connection`), only shorter."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    yield
    connection.close()


@contextmanager
def locked(*rows: models.Model) -> Iterator[None]:
    """Lock rows from another connection, as a request does that takes long."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            for row in rows:
                cursor.execute(f"SELECT 1 FROM {row._meta.db_table} WHERE id = %s FOR UPDATE", [row.pk])  # noqa: S608
        yield
        other.rollback()
    finally:
        other.close()


def status_of(run: Run) -> str:
    return str(Run.objects.get(pk=run.pk).status)


# --- a worker --------------------------------------------------------------------------------------------------------


def test_a_run_that_is_locked_for_a_moment_starts_after_it_and_not_with_the_next_write(
    ledger: Ledger, clock: FakeClock
) -> None:
    run, one = dispatched()
    asked, waits = wanted(ledger, one), []
    with locked(run):
        for _ in range(8):
            ledger.step()
            waits.append(round(ledger._wait_seconds(), 3))
            clock.advance(waits[-1])
    assert waits == [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.2]
    ledger.step()
    assert asked.answer.get_nowait() is not None


def test_a_locked_run_starts_when_it_is_free_and_the_others_at_once(ledger: Ledger, clock: FakeClock) -> None:
    (locked_run, first), (free_run, second) = (dispatched(scheduled_time=after(number)) for number in range(2))
    asked = [wanted(ledger, first), wanted(ledger, second)]
    with locked(locked_run):
        ledger.step()
        assert (status_of(locked_run), status_of(free_run)) == ("queued", "running")
        assert asked[0].answer.empty()
        assert asked[1].answer.get_nowait() is not None
        assert ledger._wait_seconds() < 0.5
    clock.advance(0.2)
    ledger.step()
    assert asked[0].answer.get_nowait() is not None
    assert status_of(locked_run) == "running"


def test_a_locked_run_that_is_cancelled_meanwhile_does_not_start(ledger: Ledger) -> None:
    run, one = dispatched()
    asked = wanted(ledger, one)
    with locked(run):
        ledger.step()
    Run.objects.filter(pk=run.pk).update(status="cancelled", finished_at=NOW)
    ledger.step()
    assert asked.answer.get_nowait() is None


def test_a_locked_run_keeps_its_outcome_until_it_is_free(ledger: Ledger, clock: FakeClock) -> None:
    runs = [started(ledger, clock, scheduled_time=after(number)) for number in range(2)]
    for _, activity in runs:
        ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    clock.advance(0.1)
    with locked(runs[0][0]):
        ledger.step()
        clock.advance(0.1)
        ledger.step()
        assert [status_of(run) for run, _ in runs] == ["running", "succeeded"]
        clock.advance(5)
        ledger.step()  # compares its runs with the database's
    clock.advance(1)
    ledger.step()
    assert [status_of(run) for run, _ in runs] == ["succeeded", "succeeded"]
    assert (ledger._own, ledger.recorder.dirty) == (set(), False)


def test_a_locked_run_shows_its_output_when_it_is_free(ledger: Ledger, clock: FakeClock, told: Told) -> None:
    runs = [started(ledger, clock, scheduled_time=after(number)) for number in range(2)]
    Run.objects.filter(pk=runs[1][0].pk).update(cancel_requested_at=NOW, reason="enough")
    for _, activity in runs:
        activity.output.write("so far\n")
    clock.advance(1)
    with locked(runs[0][0]):
        ledger.step()
        assert [Run.objects.get(pk=run.pk).output for run, _ in runs] == ["", "so far\n"]
        assert told.cancelled == [(runs[1][0].pk, "enough")]
    clock.advance(1)
    ledger.step()
    assert [Run.objects.get(pk=run.pk).output for run, _ in runs] == ["so far\n", "so far\n"]


@pytest.mark.parametrize("what", ["job", "incident"])
def test_a_locked_job_keeps_back_the_outcomes_of_its_own_runs(ledger: Ledger, clock: FakeClock, what: str) -> None:
    jobs = [make_job(name) for name in ("a", "b")]
    runs = [started(ledger, clock, job_id=job.pk, scheduled_time=after(number)) for number, job in enumerate(jobs)]
    row: models.Model = jobs[0]
    if what == "incident":
        row = Incident.objects.create(job_id="a", kind="failure", opened_at=NOW, last_at=NOW, count=1)
    for _, activity in runs:
        ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.FAILED)))
    with locked(row):
        ledger.step()
        clock.advance(0.1)
        ledger.step()
        assert [status_of(run) for run, _ in runs] == ["running", "failed"]
        late, activity = started(ledger, clock, job_id="b", scheduled_time=after(2))
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '60s'")  # nobody waits for what is known to be locked
        finish(ledger, clock, activity)
        ledger.step()
        assert (status_of(runs[0][0]), status_of(late)) == ("running", "succeeded")
    clock.advance(1)
    ledger.step()
    assert status_of(runs[0][0]) == "failed"
    assert dict(Job.objects.values_list("id", "run_count")) == {"a": 1, "b": 2}


def test_the_outcome_of_a_locked_job_is_tried_again_while_other_runs_end_all_the_time(
    ledger: Ledger, clock: FakeClock
) -> None:
    job, _ = make_job("a"), make_job("b")
    held, activity = started(ledger, clock, job_id="a")
    ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    with locked(job):
        ledger.step()
        clock.advance(0.1)
        ledger.step()
        assert status_of(held) == "running"
    for number in range(1, 8):
        _, activity = started(ledger, clock, job_id="b", scheduled_time=after(number))
        finish(ledger, clock, activity)
        clock.advance(0.1)
        ledger.step()
    assert status_of(held) == "succeeded"


def test_a_locked_run_does_not_keep_a_worker_from_joining_again(ledger: Ledger, clock: FakeClock) -> None:
    (held, _), (other, _) = (started(ledger, clock, scheduled_time=after(number)) for number in range(2))
    clock.advance(20)
    with locked(held):
        ledger.step()
        assert (status_of(held), status_of(other)) == ("running", "lost")
        assert ledger.membership.held
    assert recovery.recover_workers(clock.now(), clock.now) == 1
    assert status_of(held) == "lost"


def test_a_worker_that_ends_waits_for_a_locked_run_and_not_for_ever(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (held, activity), (other, _) = (started(ledger, clock, scheduled_time=after(number)) for number in range(2))
    ledger.recorder.finished(activity.outcome(clock.now(), CallEnd(RunStatus.SUCCEEDED)))
    ledger._close_by = clock.monotonic() + 1.0
    pause = SimpleNamespace(wait=lambda seconds: clock.advance(seconds))
    monkeypatch.setattr("jobs.worker.ledger.threading", SimpleNamespace(Event=lambda: pause))
    with locked(held):
        ledger._leave()
        assert (status_of(held), status_of(other)) == ("running", "lost")
    assert Worker.objects.get().stopped_at is not None


# --- a scheduler -----------------------------------------------------------------------------------------------------


def running(loop: Scheduler, job_id: str) -> Run:
    """Write a run that the loop is running."""
    make_job(job_id, next_run_time=None)
    return make_run(job_id, status="running", scheduler_id=loop.tick.lease.scheduler_id)


@pytest.mark.parametrize("what", ["run", "job"])
def test_a_scheduler_writes_the_other_outcomes_and_claims(make_loop: MakeLoop, clock: FakeClock, what: str) -> None:
    loop = make_loop()
    held, other = running(loop, "a"), running(loop, "b")
    make_job("due", next_run_time=after(1))
    for run in (held, other):
        loop.tick.recorder.finished(outcome(run.pk, job_id=run.job_id))
    with locked(held if what == "run" else Job.objects.get(pk="a")):
        clock.advance(1)
        step(loop)
        assert (status_of(held), status_of(other)) == ("running", "succeeded")
        assert Run.objects.filter(job_id="due").exists()
        assert loop._backoff.failures == 0
        assert loop.tick.write_at == clock.monotonic() + batches.RETRY_SECONDS
    clock.advance(1)
    step(loop)
    assert status_of(held) == "succeeded"
    assert not loop.tick.recorder.dirty


def test_a_scheduler_shows_the_starts_and_the_output_of_the_others(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    runs = [running(loop, name) for name in "ab"]
    Run.objects.update(status="queued")
    for run in runs:
        activity = Activity(held_run(run.pk, job_id=run.job_id), clock.now(), Output())
        loop.tick.recorder.started(activity)
        activity.output.write("so far")
    clock.advance(1)
    with locked(runs[0]):
        step(loop)
        found = list(Run.objects.order_by("id").values_list("status", "output"))
        assert found == [("queued", ""), ("running", "so far")]
    clock.advance(1)
    step(loop)
    assert list(Run.objects.values_list("status", "output")) == [("running", "so far")] * 2


def test_runs_are_given_back_except_for_a_locked_one() -> None:
    make_scheduler("s1")
    runs = [make_run(name, scheduler_id="s1") for name in "ab"]
    releases = Releases()
    releases.add([held_run(run.pk) for run in runs])
    with locked(runs[0]):
        releases.give_back("s1", NOW)
        assert list(Run.objects.order_by("id").values_list("scheduler_id", flat=True)) == ["s1", None]
    releases.reconcile("s1", set(), NOW)
    assert set(Run.objects.values_list("scheduler_id", flat=True)) == {None}


@pytest.mark.parametrize("what", ["job", "incident"])
def test_the_runs_of_a_locked_job_are_recovered_when_it_is_free(what: str) -> None:
    make_scheduler("dead", lease_until=NOW)
    row: models.Model
    row, _ = make_job("a"), make_job("b")
    if what == "incident":
        row = Incident.objects.create(job_id="a", kind="failure", opened_at=NOW, last_at=NOW, count=1)
    held, other = (make_run(name, status="running", scheduler_id="dead") for name in "ab")
    with locked(row):
        assert recovery.recover(after(1), lambda: after(1)) == 1
        assert (status_of(held), status_of(other)) == ("running", "lost")
    assert recovery.recover(after(5), lambda: after(5)) == 1


# --- the publishing thread -------------------------------------------------------------------------------------------


def test_a_locked_run_does_not_hold_up_what_is_noted_of_other_messages() -> None:
    (held, first), (_, second) = (dispatched(scheduled_time=after(number), dispatched_at=None) for number in range(2))
    with locked(held):
        dispatch.mark_published([first, second], NOW)
    assert [one.run_id for one in dispatch.unpublished()] == [held.pk]


def test_a_locked_run_is_sent_again_when_it_is_free() -> None:
    make_worker(lease_until=after(999), slots=9)
    (held, _), (other, _) = (dispatched(scheduled_time=after(number), dispatched_at=NOW) for number in range(2))
    late = NOW + 2 * COUNTS_AS_LOST_AFTER
    with locked(held):
        assert [one.run_id for one in dispatch.dispatch_again(late)] == [other.pk]
    assert [one.run_id for one in dispatch.dispatch_again(late)] == [held.pk]


def test_a_locked_incident_does_not_keep_a_scheduler_from_claiming(make_loop: MakeLoop, clock: FakeClock) -> None:
    loop = make_loop()
    running(loop, "a")
    Job.objects.filter(pk="a").update(next_run_time=after(1))  # it is skipped: its run is active
    incident = Incident.objects.create(job_id="a", kind="not_run", opened_at=NOW, last_at=NOW, count=1)
    make_job("due", next_run_time=after(1))
    with locked(incident):
        clock.advance(1)
        step(loop)
        assert set(Run.objects.values_list("job_id", "status")) == {
            ("a", "running"), ("a", "skipped"), ("due", "queued"),
        }  # fmt: skip
        assert loop._backoff.failures == 0
    clock.advance(5)
    step(loop)
    incident.refresh_from_db()
    assert incident.count == 2
    clock.advance(5)
    step(loop)
    incident.refresh_from_db()
    assert incident.count == 2, "it is counted once"
