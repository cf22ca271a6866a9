"""A fire time is claimed once, in the transaction that writes its run; one damaged row harms no other."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import JSONField, Value

from jobs.core.held import HeldRun
from jobs.core.runs import RunStatus, RunTrigger
from jobs.models import Job, Run
from jobs.scheduler.store import admission, claims
from jobs.scheduler.store.work import pending_work
from tests.fakes import NOW, after, make_job, make_jobs, make_run

from .conftest import in_thread

pytestmark = pytest.mark.django_db

Statements = Callable[[], Any]


def claim(now: Any = NOW, limit: int = 100, scheduler: str = "s1", *, by_priority: bool = True) -> claims.Claimed:
    return claims.claim_due(scheduler, {"thread": limit}, now, by_priority=by_priority)


def take(limit: int = 5, scheduler: str = "s1") -> list[HeldRun]:
    return admission.admit(scheduler, {"thread": limit}, NOW)


def looked() -> tuple[Any, Any]:
    pending = pending_work("s1")
    return pending.due_at, pending.waiting_at


# --- what is claimed -------------------------------------------------------------------------------------------------


def test_a_due_job_gives_a_run_that_the_scheduler_holds() -> None:
    make_job(args=[1, "two"], kwargs={"three": [3]})
    (held,) = claim().runs
    run = Run.objects.get()
    assert (held.id, held.job_id, held.func, held.args, held.kwargs) == (
        run.id, "job", "tests:record", [1, "two"], {"three": [3]}
    )  # fmt: skip
    assert (held.scheduled_time, held.attempt, held.executor) == (NOW, 1, "thread")


def test_the_run_is_on_record_as_queued() -> None:
    make_job(args=[1], kwargs={"a": None})
    claim(after(2))
    run = Run.objects.get()
    assert (run.status, run.trigger, run.scheduler_id) == (RunStatus.QUEUED, RunTrigger.SCHEDULE, "s1")
    assert (run.scheduled_time, run.queued_at, run.started_at, run.finished_at) == (NOW, after(2), None, None)
    assert (run.args, run.kwargs, run.attempt, run.fire_times, run.reason) == ([1], {"a": None}, 1, 1, "")


def test_the_job_is_moved_on() -> None:
    make_job()
    claim()
    assert Job.objects.get().next_run_time == after(10)


def test_a_claim_leaves_the_fields_of_people_unchanged() -> None:
    before = make_job()
    Job.objects.update(name="edited meanwhile")
    claim()
    job = Job.objects.get()
    assert (job.name, job.anchor, job.updated_at) == ("edited meanwhile", before.anchor, before.updated_at)


def test_a_job_that_is_not_due_is_left_alone() -> None:
    make_job(next_run_time=after(0.000001))
    assert claim().runs == []
    assert Job.objects.get().next_run_time == after(0.000001)


def test_a_job_without_a_fire_time_is_left_alone() -> None:
    make_job(next_run_time=None)
    assert claim().jobs == 0


def test_a_second_claim_finds_nothing() -> None:
    make_job()
    assert len(claim().runs) == 1
    assert claim().runs == []
    assert Run.objects.count() == 1


def test_the_jobs_that_are_due_longest_are_claimed_first() -> None:
    for seconds in (-1, -3, -2):
        make_job(f"job{seconds}", next_run_time=after(seconds))
    assert [run.job_id for run in claim(limit=2).runs] == ["job-3", "job-2"]


def test_no_more_jobs_are_claimed_than_asked_for() -> None:
    make_jobs(5)
    assert claim(limit=3).jobs == 3
    assert Job.objects.due(NOW).count() == 2


def test_a_job_without_further_fire_times_is_never_due_again() -> None:
    make_job(trigger={"type": "date", "run_date": NOW.isoformat()})
    assert len(claim().runs) == 1
    assert Job.objects.get().next_run_time is None


def test_missed_fire_times_leave_a_row_and_are_returned() -> None:
    make_job(misfire_grace_time=1)
    claimed = claim(after(5))
    run = Run.objects.get()
    assert claimed.runs == []
    assert [(job_id, planned.status) for job_id, planned in claimed.born_finished] == [("job", RunStatus.MISSED)]
    assert (run.status, run.finished_at) == (RunStatus.MISSED, after(5))
    assert run.reason == "seen 5.0 s late; misfire_grace_time is 1 s"


def test_an_active_run_of_any_scheduler_is_an_overlap() -> None:
    make_job()
    active = make_run(status=RunStatus.RUNNING, scheduler_id="another", scheduled_time=after(-10))
    claim()
    run = Run.objects.get(status=RunStatus.SKIPPED)
    assert run.reason == f"run {active.id} was active; max_instances is 1"


def test_the_active_run_of_another_job_is_no_overlap() -> None:
    make_job()
    make_run("other", status=RunStatus.RUNNING)
    assert len(claim().runs) == 1


def test_one_run_stands_for_all_fire_times_of_a_gap() -> None:
    make_job()
    claim(after(3600))
    run = Run.objects.get()
    assert (run.scheduled_time, run.fire_times) == (after(3600), 361)


def test_fire_times_beyond_the_catch_up_stay_due() -> None:
    make_job(coalesce=False, max_instances=1000)
    claim(after(10_000))
    assert Run.objects.count() == 100
    assert Job.objects.get().next_run_time == after(1000)


# --- one transaction, however many -----------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 1000])
def test_a_claim_takes_four_statements(jobs: int, statements: Statements) -> None:
    make_jobs(jobs)
    with statements() as found:
        assert len(claim(limit=1000, by_priority=False).runs) == jobs
    # The due jobs, their active runs, the jobs moved on, the runs written.
    assert [sql.split()[0] for sql in found] == ["SELECT", "SELECT", "INSERT", "UPDATE"]


@pytest.mark.parametrize("jobs", [1, 1000])
def test_a_claim_by_priority_takes_two_more_statements(jobs: int, statements: Statements) -> None:
    make_jobs(jobs)
    make_job("urgent", priority=1)
    with statements() as found:
        assert len(claim(limit=1002).runs) == jobs + 1
    assert [sql.split()[0] for sql in found] == ["SELECT"] * 4 + ["INSERT", "UPDATE"]


@pytest.mark.parametrize("jobs", [1, 200])
def test_a_claim_that_replaces_runs_takes_a_fixed_number_of_statements(jobs: int, statements: Statements) -> None:
    make_jobs(jobs, overlap="replace")
    for number in range(jobs):
        make_run(f"job-{number}", status=RunStatus.RUNNING, scheduler_id="s2", scheduled_time=after(-10))
    with statements() as found:
        assert claim(limit=1000, by_priority=False).jobs == jobs
    # Besides the four: the old runs are locked; held ones get a request to cancel, and waiting ones are ended.
    assert len(found) == (7 if connection.vendor == "postgresql" else 6)
    assert Run.objects.filter(cancel_requested_at=NOW).count() == jobs


def test_a_claim_of_nothing_takes_one_statement(statements: Statements) -> None:
    with statements() as found:
        claim(by_priority=False)
    assert len(found) == 1


def test_reading_the_pending_work_takes_one_statement(statements: Statements) -> None:
    make_job()
    with statements() as found:
        pending_work("s1")
    assert len(found) == 1


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_fails_halfway_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_job()

    def fail(*args: Any) -> Any:
        raise DatabaseError("no room")

    monkeypatch.setattr(claims, "_insert", fail)
    with pytest.raises(DatabaseError):
        claim()
    assert Run.objects.count() == 0
    assert Job.objects.get().next_run_time == NOW


# --- several schedulers ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_jobs_that_another_scheduler_is_claiming_are_skipped() -> None:
    make_jobs(2)
    with transaction.atomic():
        first = claim(limit=1)
        second = in_thread(lambda: claim(scheduler="s2"))()
    assert {run.job_id for run in first.runs + second.runs} == {"job-0", "job-1"}
    assert len(second.runs) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_waiting_runs_that_another_scheduler_is_taking_are_skipped() -> None:
    for name in "abc":
        make_run(name)
    with transaction.atomic():
        # Twice as many runs as there is capacity for are read and locked.
        first = take(1, "s1")
        second = in_thread(lambda: take(9, "s2"))()
    assert ([run.job_id for run in first], [run.job_id for run in second]) == (["a"], ["c"])
    assert [run.job_id for run in take(9, "s2")] == ["b"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_a_job_stays_due_while_the_run_that_it_replaces_is_being_written() -> None:
    make_job(overlap="replace")
    make_job("other")
    old = make_run(status=RunStatus.RUNNING, scheduler_id="s2", scheduled_time=after(-10))
    with transaction.atomic():
        Run.objects.filter(pk=old.pk).update(output="so far")
        assert [run.job_id for run in in_thread(claim)().runs] == ["other"]
    assert claim().jobs == 1
    old.refresh_from_db()
    assert (old.cancel_requested_at, old.reason) == (NOW, "replaced by a newer run of its job")


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_never_claim_a_fire_time_twice() -> None:
    make_jobs(60)
    start = threading.Barrier(2)

    def work(name: str) -> Callable[[], list[tuple[str, Any]]]:
        def claim_all() -> list[tuple[str, Any]]:
            start.wait(timeout=60)
            runs = []
            for step in range(12):
                runs += claim(after(step * 5), limit=7 + step, scheduler=name).runs
            return [(run.job_id, run.scheduled_time) for run in runs]

        return in_thread(claim_all)

    first, second = work("s1"), work("s2")
    claimed = Counter(first() + second())
    assert max(claimed.values()) == 1
    assert Run.objects.filter(status=RunStatus.QUEUED).count() == len(claimed)


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_never_take_a_waiting_run_twice() -> None:
    for number in range(100):
        make_run(f"job-{number}")
    start = threading.Barrier(2)

    def work(name: str) -> Callable[[], list[int]]:
        def take_all() -> list[int]:
            start.wait(timeout=60)
            return [run.id for _ in range(20) for run in take(7, name)]

        return in_thread(take_all)

    first, second = work("s1"), work("s2")
    assert sorted(first() + second()) == sorted(Run.objects.values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_a_job_that_is_being_paused_is_not_claimed() -> None:
    make_job()
    with transaction.atomic():
        Job.objects.update(paused=True, next_run_time=None)
        assert in_thread(claim)().runs == []
    assert claim().runs == []
    assert Run.objects.count() == 0


def test_a_fire_time_does_not_run_again_when_its_job_is_removed_and_added() -> None:
    make_job()
    assert len(claim().runs) == 1
    Job.objects.all().delete()
    make_job()
    make_job("other")
    assert [run.job_id for run in claim().runs] == ["other"]
    assert Job.objects.get(pk="job").next_run_time == after(10)
    assert Run.objects.filter(job_id="job").count() == 1


# --- damage ----------------------------------------------------------------------------------------------------------

DAMAGED = {
    "trigger: no type": {"trigger": {"every": "second"}},
    "trigger: a list": {"trigger": [1]},
    "trigger: a text": {"trigger": "interval"},
    "trigger: null": {"trigger": Value(None, JSONField())},
    "trigger: a bad expression": {"trigger": {"type": "cron", "hour": "99"}},
    "trigger: a bad zone": {"trigger": {"type": "interval", "seconds": 1, "timezone": "Mars/Olympus"}},
    "args: a text": {"args": "abc"},
    "args: an object": {"args": {"a": 1}},
    "args: null": {"args": Value(None, JSONField())},
    "kwargs: a list": {"kwargs": ["ab"]},
    "kwargs: null": {"kwargs": Value(None, JSONField())},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_job_leaves_one_failed_run_and_harms_no_other(damage: dict[str, Any]) -> None:
    make_job("broken")
    Job.objects.update(**damage)
    make_job("good")
    claimed = claim()
    assert [run.job_id for run in claimed.runs] == ["good"]
    (failed,) = Run.objects.filter(job_id="broken")
    assert (failed.status, failed.scheduled_time, failed.finished_at) == (RunStatus.FAILED, NOW, NOW)
    what = "trigger is" if "trigger" in damage else "arguments are"
    assert failed.reason.startswith(f"its {what} invalid: ")


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_job_is_taken_off_the_schedule_and_kept_with_the_reason(damage: dict[str, Any]) -> None:
    make_job()
    Job.objects.update(**damage)
    claim()
    job = Job.objects.get()
    assert job.next_run_time is None
    assert job.error == Run.objects.get().reason
    assert claim(after(60)).jobs == 0


def test_the_failed_run_of_a_damaged_job_is_counted() -> None:
    make_job(trigger={"every": "second"})
    make_job("good")
    claim(after(2))
    job, good = Job.objects.get(pk="job"), Job.objects.get(pk="good")
    assert (job.run_count, job.failure_count, job.last_status, job.last_run_at) == (1, 1, RunStatus.FAILED, after(2))
    assert (good.run_count, good.failure_count, good.last_status) == (0, 0, "")


def test_a_job_whose_function_is_unknown_is_claimed_and_fails_when_it_runs() -> None:
    make_job(func="gone:away")
    assert [run.func for run in claim().runs] == ["gone:away"]
    assert Job.objects.get().next_run_time == after(10)


# --- waiting runs ----------------------------------------------------------------------------------------------------


def test_a_waiting_run_is_taken_once() -> None:
    run = make_run(args=[1])
    assert [(held.id, held.args) for held in take(5, "s1")] == [(run.id, [1])]
    assert take(5, "s2") == []


def test_the_oldest_waiting_runs_are_taken_first() -> None:
    runs = [make_run(f"job-{number}") for number in range(4)]
    assert {held.id for held in take(2, "s1")} == {runs[0].id, runs[1].id}


def test_a_run_that_is_held_does_not_wait() -> None:
    make_run(scheduler_id="s1")
    assert take(5, "s2") == []


def test_a_run_given_back_waits_for_any_scheduler() -> None:
    make_job()
    (held,) = claim().runs
    admission.give_back("s1", [held.id], NOW)
    assert [run.id for run in take(5, "s2")] == [held.id]


def test_nothing_to_give_back_begins_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "transaction", None)
    admission.give_back("s1", [], NOW)


def test_only_the_holder_gives_a_run_back() -> None:
    make_job()
    (held,) = claim().runs
    admission.give_back("s2", [held.id], NOW)
    assert take(5, "s2") == []


def test_a_run_that_started_is_not_given_back() -> None:
    run = make_run(status=RunStatus.RUNNING, scheduler_id="s1")
    admission.give_back("s1", [run.id], NOW)
    assert Run.objects.get().scheduler_id == "s1"


def test_the_held_runs_are_those_that_have_not_ended_here() -> None:
    queued = make_run("a", scheduler_id="s1")
    running = make_run("b", scheduler_id="s1", status=RunStatus.RUNNING)
    make_run("c", scheduler_id="s2")
    make_run("d", scheduler_id="s1", status=RunStatus.SUCCEEDED)
    make_run("e", scheduler_id="s1", status=RunStatus.RUNNING, executor="celery")
    assert admission.held_runs("s1") == {queued.id: "queued", running.id: "running"}


# --- pending work ----------------------------------------------------------------------------------------------------


def test_without_jobs_and_runs_no_work_is_pending() -> None:
    assert looked() == (None, None)


def test_the_pending_work_has_the_time_of_the_next_due_job() -> None:
    make_job("later", next_run_time=after(5.5))
    make_job("sooner", next_run_time=after(2))
    make_job("never", next_run_time=None)
    assert looked() == (after(2), None)


def test_the_pending_work_has_times_with_microseconds_and_a_zone() -> None:
    make_job(next_run_time=after(0.123456))
    due_at, _ = looked()
    assert due_at == after(0.123456)
    assert due_at is not None
    assert due_at.utcoffset() == timedelta(0)


def test_the_pending_work_has_waiting_runs() -> None:
    make_run()
    assert looked() == (None, NOW)


@pytest.mark.parametrize("fields", [{"scheduler_id": "s1"}, {"status": RunStatus.SUCCEEDED}], ids=["held", "finished"])
def test_runs_that_do_not_wait_are_no_pending_work(fields: dict[str, Any]) -> None:
    make_run(**fields)
    assert looked() == (None, None)


def test_texts_and_numbers_reach_the_database_unchanged() -> None:
    awkward = [
        "'; DROP TABLE cronzimus_run; --",
        '"\\',
        "%s",
        "\N{GRINNING FACE}",
        2**70,
        1e-7,
        0.1,
        {"": None},
        True,
        [],
    ]
    make_job(args=awkward, kwargs={"a'b\"c": awkward})
    (held,) = claim().runs
    assert (held.args, held.kwargs) == (awkward, {"a'b\"c": awkward})
    run = Run.objects.get()
    assert (run.args, run.kwargs) == (awkward, {"a'b\"c": awkward})


# --- rows that were damaged in the database --------------------------------------------------------------------------


@pytest.mark.usefixtures("sqlite_only")  # PostgreSQL holds no text in a column of instants
@pytest.mark.parametrize("column", ["anchor", "next_run_time"])
def test_a_damaged_instant_breaks_only_its_own_job(column: str) -> None:
    make_jobs(2)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cronzimus_job SET {column} = '1 garbage' WHERE id = 'job-0'")  # noqa: S608
    assert [run.job_id for run in claim().runs] == ["job-1"]
    assert Run.objects.get(job_id="job-0").status == RunStatus.FAILED


@pytest.mark.usefixtures("sqlite_only")
@pytest.mark.parametrize("damage", ["overlap = 'nonsense'", "misfire_grace_time = 'soon'", "anchor = '1 garbage'"])
def test_the_reason_does_not_blame_the_trigger_for_other_damage(damage: str) -> None:
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = on")
        cursor.execute(f"UPDATE cronzimus_job SET {damage}")  # noqa: S608
        cursor.execute("PRAGMA ignore_check_constraints = off")
    claim()
    assert Run.objects.get().reason.startswith("its row is invalid: ")


@pytest.mark.usefixtures("sqlite_only")
def test_a_job_with_a_damaged_instant_is_due() -> None:
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE cronzimus_job SET next_run_time = '1 garbage'")
    assert pending_work("s1").is_due(NOW)


# --- capacity and priority -------------------------------------------------------------------------------------------


def test_at_most_as_many_jobs_are_claimed_as_the_largest_capacity() -> None:
    make_jobs(5)
    assert claims.claim_due("s1", {"thread": 3, "process": 1}, NOW).jobs == 3


def test_the_pending_work_says_whether_a_prioritised_job_is_due() -> None:
    make_job("plain")
    make_job("urgent", priority=3, next_run_time=after(5))
    pending = pending_work("s1")
    assert not pending.is_prioritised(NOW)
    assert pending.is_prioritised(after(5))


def test_without_priorities_the_job_that_is_due_longest_comes_first() -> None:
    make_job("urgent", priority=3)
    make_job("late", next_run_time=after(-5))
    assert [run.job_id for run in claims.claim_due("s1", {"thread": 1}, NOW, by_priority=False).runs] == ["late"]


def test_no_more_jobs_are_claimed_for_an_executor_than_it_has_capacity_for() -> None:
    make_jobs(5)
    claimed = claims.claim_due("s1", {"thread": 1, "process": 50}, NOW)
    assert (len(claimed.runs), claimed.jobs, Run.objects.count()) == (1, 1, 1)
    assert Job.objects.due(NOW).count() == 4


# --- fire times that are on record already --------------------------------------------------------------------------


def counted() -> tuple[int, Any]:
    """Return the number of scheduled runs of the job "job", and its next fire time."""
    return Job.objects.values_list("claimed_count", "next_run_time").get(pk="job")


def test_a_fire_time_that_is_on_record_is_not_one_of_max_runs() -> None:
    make_job(max_runs=2, max_instances=5)
    make_run(status=RunStatus.SKIPPED)
    assert claim(NOW).runs == []
    assert counted() == (0, after(10))
    assert [len(claim(after(10 * number)).runs) for number in (1, 2, 3)] == [1, 1, 0]
    assert counted() == (2, None)


def test_the_last_run_of_max_runs_is_not_used_up_by_a_fire_time_on_record() -> None:
    make_job(max_runs=1)
    make_run(status=RunStatus.SUCCEEDED)
    claim(NOW)
    assert counted() == (0, after(10))


def test_of_several_fire_times_only_the_new_ones_count() -> None:
    make_job(max_runs=3, max_instances=5, coalesce=False)
    make_run(status=RunStatus.SKIPPED, scheduled_time=after(10))
    assert [run.scheduled_time for run in claim(after(25)).runs] == [NOW, after(20)]
    assert counted() == (2, after(30))
    assert [run.scheduled_time for run in claim(after(30)).runs] == [after(30)]
    assert counted() == (3, None)


def test_fire_times_that_max_runs_left_out_stay_due_when_one_was_on_record() -> None:
    make_job(max_runs=1, max_instances=5, coalesce=False)
    make_run(status=RunStatus.SKIPPED)
    assert claim(after(25)).runs == []
    assert counted() == (0, after(10))
    assert [run.scheduled_time for run in claim(after(25)).runs] == [after(10)]
    assert counted() == (1, None)


def test_a_date_on_record_leaves_nothing_to_come() -> None:
    make_job(trigger={"type": "date", "run_date": NOW.isoformat()}, max_runs=1)
    make_run(status=RunStatus.SUCCEEDED)
    assert claim(NOW).runs == []
    assert counted() == (0, None)


def test_a_missed_fire_time_that_is_on_record_is_not_reported_again() -> None:
    make_job(misfire_grace_time=1)
    make_run(status=RunStatus.SKIPPED)
    assert claim(after(5)).born_finished == []
    assert Run.objects.count() == 1


def test_a_damaged_job_whose_fire_time_is_on_record_counts_no_failure() -> None:
    make_job(trigger=[])
    make_run(status=RunStatus.SUCCEEDED)
    assert claim(NOW).born_finished == []
    assert Job.objects.values_list("run_count", "failure_count", "next_run_time").get() == (0, 0, None)
