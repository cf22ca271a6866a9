"""The runs of a dead scheduler are lost, counted and logged; no run stays `running` for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from jobs import alerts
from jobs.alerts.incidents import End, repeat
from jobs.core.runs import RunStatus
from jobs.models import Incident, Job, Run, Scheduler
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store import recovery
from tests.fakes import NOW, after, make_job, make_run, make_scheduler, outcome
from tests.waiting import until

from .conftest import in_thread
from .loop_support import flush

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_the_active_runs_of_a_dead_scheduler_are_lost(status: RunStatus) -> None:
    make_scheduler("dead", lease_until=NOW)
    run = make_run(status=status, scheduler_id="dead")
    assert recovery.recover(after(0), lambda: after(0)) == 1
    run.refresh_from_db()
    assert (run.status, run.finished_at) == (RunStatus.LOST, NOW)
    assert run.reason == "its scheduler's lease ended at 2030-01-01 12:00:00 UTC without a heartbeat"


def test_a_scheduler_is_dead_although_its_lease_ends_in_the_far_future_after_the_clock_was_set_back() -> None:
    make_scheduler("dead", lease_until=after(3600))
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    assert recovery.recover(NOW, lambda: NOW) == 1


@pytest.mark.parametrize("stopped", [False, True], ids=["unknown", "stopped"])
def test_runs_that_a_scheduler_claimed_after_others_ended_its_lease_are_lost(stopped: bool) -> None:
    if stopped:
        make_scheduler("gone", stopped_at=NOW)
    make_run(scheduler_id="gone")
    assert recovery.recover(after(1), lambda: after(1)) == 1
    run = Run.objects.get()
    assert (run.status, run.reason) == (RunStatus.LOST, "its scheduler's lease had ended before")


def test_a_scheduler_within_its_lease_keeps_its_runs() -> None:
    make_scheduler("alive", lease_until=after(0.001))
    make_run(status=RunStatus.RUNNING, scheduler_id="alive")
    assert recovery.recover(NOW, lambda: NOW) == 0
    assert Run.objects.get().status == RunStatus.RUNNING


def test_a_scheduler_that_stood_still_takes_no_lease_that_was_renewed_meanwhile_for_one_that_is_too_long() -> None:
    make_scheduler("living", lease_until=after(40))
    assert recovery.recover(NOW, lambda: after(26)) == 0
    assert Scheduler.objects.get().stopped_at is None
    recovery.recover(NOW, lambda: NOW)
    assert Scheduler.objects.get().stopped_at == NOW


def test_the_runs_of_others_are_left_alone() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_scheduler("alive", lease_until=after(10))
    make_run("a", status=RunStatus.RUNNING, scheduler_id="alive")
    make_run("b")
    assert recovery.recover(after(1), lambda: after(1)) == 0
    assert set(Run.objects.values_list("status", flat=True)) == {"running", "queued"}


def test_runs_that_ended_stay_unchanged() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_run(status=RunStatus.SUCCEEDED, scheduler_id="dead")
    assert recovery.recover(after(1), lambda: after(1)) == 0
    assert Run.objects.get().status == RunStatus.SUCCEEDED


def test_the_dead_scheduler_is_marked_as_stopped() -> None:
    make_scheduler("dead", lease_until=NOW, queued_runs=3, running_runs=2)
    recovery.recover(after(1), lambda: after(1))
    dead = Scheduler.objects.get()
    assert (dead.stopped_at, dead.queued_runs, dead.running_runs) == (after(1), 0, 0)


def test_recovering_again_finds_nothing() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    assert recovery.recover(after(1), lambda: after(1)) == 1
    assert recovery.recover(after(2), lambda: after(2)) == 0
    assert Run.objects.get().finished_at == after(1)


def test_a_lost_run_is_counted_as_a_failure_of_its_job() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_job(run_count=5, failure_count=1, last_status=RunStatus.SUCCEEDED)
    for number in range(2):
        make_run(status=RunStatus.RUNNING, scheduler_id="dead", scheduled_time=after(number))
    recovery.recover(after(1), lambda: after(1))
    job = Job.objects.get()
    assert (job.run_count, job.failure_count, job.last_status, job.last_run_at) == (7, 3, RunStatus.LOST, after(1))


def test_the_lost_runs_of_many_jobs_take_as_many_statements_as_those_of_a_few(
    statements: Callable[[], Any],
) -> None:
    taken = []
    for count in (2, 20):
        make_scheduler(f"dead-{count}", lease_until=after(-1))
        for number in range(count):
            make_job(f"job-{count}-{number}")
            make_run(f"job-{count}-{number}", scheduler_id=f"dead-{count}", status=RunStatus.RUNNING)
        with statements() as found:
            assert recovery.recover(NOW, lambda: NOW) == count
        taken.append(len(found))
    assert taken[0] == taken[1]


def test_a_lost_run_leaves_the_schedule_of_its_job_alone() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_job()
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    recovery.recover(after(1), lambda: after(1))
    assert Job.objects.get().next_run_time == NOW


def test_the_run_of_a_removed_job_is_lost_too() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_run("removed", status=RunStatus.RUNNING, scheduler_id="dead")
    assert recovery.recover(after(1), lambda: after(1)) == 1


def test_several_dead_schedulers_are_recovered_at_once() -> None:
    for name in ("a", "b"):
        make_scheduler(name, lease_until=NOW)
        make_run(name, status=RunStatus.RUNNING, scheduler_id=name)
    assert recovery.recover(after(1), lambda: after(1)) == 2


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_runs_of_a_scheduler_whose_lease_ended_before_are_lost_too(status: RunStatus) -> None:
    make_scheduler("gone", lease_until=NOW, stopped_at=after(1))
    make_run(status=status, scheduler_id="gone")
    assert recovery.recover(after(2), lambda: after(2)) == 1
    run = Run.objects.get()
    assert (run.status, run.reason) == (RunStatus.LOST, "its scheduler's lease had ended before")


def test_runs_of_a_scheduler_without_a_row_are_lost_too() -> None:
    make_run(status=RunStatus.RUNNING, scheduler_id="nobody")
    assert recovery.recover(after(2), lambda: after(2)) == 1


def test_lost_runs_and_dead_schedulers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    make_scheduler("dead", lease_until=NOW)
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    recovery.recover(after(1), lambda: after(1))
    assert sorted(record.action for record in caplog.records) == ["run_lost", "scheduler_dead"]


def test_an_outcome_that_comes_after_the_recovery_changes_nothing() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_job()
    run = make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    recovery.recover(after(1), lambda: after(1))
    recorder = Recorder(lambda ended: None)
    recorder.finished(outcome(run.id))
    assert flush(recorder, "dead") == []
    assert (Run.objects.get().status, Job.objects.get().run_count) == (RunStatus.LOST, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_an_outcome_that_is_being_written_comes_first() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_job()
    run = make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    recorder = Recorder(lambda ended: None)
    recorder.finished(outcome(run.id))
    with transaction.atomic():
        flush(recorder, "dead")
        assert in_thread(lambda: recovery.recover(after(1), lambda: after(1)))() == 0
    assert recovery.recover(after(5), lambda: after(5)) == 0
    job = Job.objects.get()
    assert (Run.objects.get().status, job.run_count, job.failure_count) == (RunStatus.SUCCEEDED, 1, 0)
    assert job.last_status == RunStatus.SUCCEEDED


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_a_run_that_is_being_written_is_left_until_the_next_time() -> None:
    make_scheduler("dead", lease_until=NOW)
    first, second = (make_run(job_id, status=RunStatus.RUNNING, scheduler_id="dead") for job_id in "ab")
    with transaction.atomic():
        # A scheduler that writes many runs may have locked a later one first: each would wait for the other.
        Run.objects.filter(pk=second.pk).update(output="so far")
        assert in_thread(lambda: recovery.recover(after(1), lambda: after(1)))() == 1
        Run.objects.filter(pk=first.pk).update(output="so far")
    assert recovery.recover(after(5), lambda: after(5)) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_two_recoveries_at_once_do_not_wait_for_each_other() -> None:
    make_scheduler("dead", lease_until=NOW)
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    with transaction.atomic():
        assert recovery.recover(after(1), lambda: after(1)) == 1
        assert in_thread(lambda: recovery.recover(after(1), lambda: after(1)))() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
@pytest.mark.parametrize("known", [True, False], ids=["an open incident", "none yet"])
def test_a_job_is_locked_before_its_incidents_as_where_outcomes_are_written(known: bool) -> None:
    make_scheduler("dead", lease_until=NOW)
    make_job()
    make_run(status=RunStatus.RUNNING, scheduler_id="dead")
    if known:
        observe_failure()
    with transaction.atomic():
        Job.objects.select_for_update(no_key=True).get()
        recovered = in_thread(lambda: recovery.lose(["dead"], "dead", after(1)))
        until(lambda: waiting_for_locks() == 1)
        # With the other order each would wait for the other here.
        observe_failure()
    assert recovered() == 1
    assert Incident.objects.get(job_id="job").count == (3 if known else 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_what_is_repeated_is_not_waited_for() -> None:
    make_job()
    observe_failure()
    with transaction.atomic():
        Incident.objects.select_for_update().get()
        in_thread(lambda: repeat(after(1)))()


def observe_failure() -> None:
    with transaction.atomic():
        alerts.observe([End("job", None, RunStatus.FAILED, "", NOW)], NOW)


def waiting_for_locks() -> int:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_scheduler_can_mark_its_own_runs_as_lost() -> None:
    make_run("a", status=RunStatus.RUNNING, scheduler_id="s1")
    make_run("b", status=RunStatus.RUNNING, scheduler_id="s2")
    assert recovery.lose(["s1"], "its scheduler was ended at once", after(1)) == 1
    lost = Run.objects.get(status=RunStatus.LOST)
    assert (lost.job_id, lost.reason) == ("a", "its scheduler was ended at once")


def test_schedulers_that_stopped_a_week_ago_are_forgotten() -> None:
    make_scheduler("old", stopped_at=after(-7 * 86400 - 1))
    make_scheduler("recent", stopped_at=after(-7 * 86400 + 1))
    make_scheduler("alive")
    make_run(status=RunStatus.SUCCEEDED, scheduler_id="old")
    recovery.forget_stopped(NOW)
    assert set(Scheduler.objects.values_list("id", flat=True)) == {"recent", "alive"}
    assert Run.objects.get().scheduler_id == "old"
