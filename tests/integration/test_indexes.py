"""The scheduler's frequent queries use indexes, on both databases, in tables that have grown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import CharField
from django.db.models.functions import Cast

from jobs.core.held import LiveUpdate, Start
from jobs.core.runs import DISPATCHED, Executor, RunStatus
from jobs.models import Job, Run
from jobs.scheduler.pruner import ROUND_SECONDS, Pruner
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store import admission, claims, dispatch, outcomes, recovery, starts, workers
from jobs.scheduler.store.dispatch import Dispatch
from jobs.scheduler.store.retention import prune_job
from jobs.scheduler.store.work import cancel_requests, pending_work
from jobs.selectors.backlog import due_jobs, waiting_runs
from jobs.selectors.workers import Fleet, HeldUp
from jobs.services import remove_job
from tests.fakes import FOREVER, NOW, FakeClock, after, make_job, make_run, make_worker, outcome

from .loop_support import flush
from .plans import (
    analyze,
    as_the_loop_asks,
    assert_reads,
    assert_reads_one_of,
    assert_unsorted,
    large_tables,
    plan,
    plans,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="class", params=[True, False], ids=["analysed", "outgrown"])
def tables(django_db_setup: None, django_db_blocker: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Large tables: with statistics, and with those of the time when they were small."""
    with django_db_blocker.unblock(), large_tables(analysed=request.param):
        yield


@pytest.fixture
def fresh_on_postgresql(tables: None, request: pytest.FixtureRequest) -> None:
    """Skip the test on PostgreSQL with old statistics: where those promise a few rows, sorting them is right."""
    if connection.vendor == "postgresql" and "outgrown" in request.node.name:
        pytest.skip("a plan that goes by statistics")


FEW = (200_000, 200_009)
"""The ids of some waiting runs, from the first to the last."""


def dispatches(worker: str = "") -> list[Dispatch]:
    """Send some runs to workers; with a `worker`, they run there. Return their dispatches."""
    some = Run.objects.filter(id__range=FEW)
    some.update(
        executor=Executor.CELERY, queue="reports", dispatch_id=Cast("id", CharField()), dispatches=1,
        scheduler_id=worker or DISPATCHED, status=RunStatus.RUNNING if worker else RunStatus.QUEUED,
    )  # fmt: skip
    return [Dispatch(run.pk, "reports", run.dispatch_id or "") for run in some]


def assert_looks_up(text: str) -> None:
    """Check that `text`, the plan of a batch, looks each row up, and compares no table with each of the rows."""
    assert_reads(text)
    assert "Join Filter: (cronzimus_run.id" not in text, text


def deleted_rows(job: Job) -> list[str]:
    """Return the plans of the statements that find the runs that `job` does not keep."""
    return plans(lambda: prune_job(job, NOW, 10), about='ORDER BY "cronzimus_run"."scheduled_time" ASC')


@pytest.mark.usefixtures("postgresql_only")
def test_jobs_have_no_index_that_claims_write_and_nobody_reads() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'cronzimus_job'")
        found = {name for (name,) in cursor.fetchall()}
    read = {f"cronzimus_job_{name}" for name in ("pkey", "due", "prioritised")}
    assert found == read | {"cronzimus_job_of_queue"}  # which only jobs for workers have entries in


@pytest.mark.usefixtures("postgresql_only")
def test_a_batch_is_not_compared_with_every_run_of_a_small_table() -> None:
    make_job("job")
    rows = [make_run(scheduler_id="s1")]
    fields = {field.attname: getattr(rows[0], field.attname) for field in Run._meta.concrete_fields}
    Run.objects.bulk_create(Run(**fields | {"id": None, "scheduled_time": after(number)}) for number in range(1, 2000))
    analyze()
    as_the_loop_asks()
    ended = [outcome(run_id) for run_id in Run.objects.values_list("pk", flat=True)[:100]]
    assert_looks_up(plan(lambda: outcomes.write_outcomes(ended, "s1", NOW)))


@pytest.mark.usefixtures("tables")
class TestIndexes:
    """In tables that have grown."""

    def test_a_look_reads_indexes(self) -> None:
        text = plan(lambda: pending_work("s1"))
        # One row, and one for each scheduler of the last week.
        assert_reads(text, "job_due", "run_cancel", small=("control", "scheduler"))
        assert_reads_one_of(
            text, "run_startable", "run_waiting", "run_by_status", "run_held", small=("control", "scheduler")
        )

    def test_the_cancellations_of_a_scheduler_are_found_by_an_index(self) -> None:
        assert_reads(plan(lambda: cancel_requests("s1")))

    def test_the_runs_for_whose_end_others_wait_are_found_by_indexes(self) -> None:
        as_the_loop_asks()
        assert_reads(plan(lambda: admission.awaited_runs("s1")))

    def test_the_runs_of_a_full_group_are_counted_by_an_index(self) -> None:
        as_the_loop_asks()
        Run.objects.filter(id__range=(200_000, 200_010)).update(concurrency_group="g")
        assert_reads(plan(lambda: admission.admit("s1", {"thread": 10}, after(60))), "run_active_of_group")

    def test_lost_messages_are_found_by_an_index(self) -> None:
        as_the_loop_asks()
        make_worker(queues=["reports", "mails"], lease_until=after(99))
        sent = {"executor": Executor.CELERY, "scheduler_id": DISPATCHED, "dispatched_at": NOW, "dispatches": 1}
        Run.objects.filter(id__range=(200_000, 200_300)).update(
            **sent, queue="full", dispatch_id=Cast("id", CharField())
        )
        Run.objects.filter(pk=200_300).update(queue="reports")
        there_are, in_open_queues, again = plans(lambda: dispatch.dispatch_again(after(61)), about="dispatched_at")
        assert_reads(there_are, "run_held")
        assert_reads(in_open_queues, "run_held")
        assert_reads(again)

    def test_what_a_queue_may_be_given_is_counted_among_the_held_runs(self) -> None:
        as_the_loop_asks()
        make_worker(lease_until=after(99))
        assert_reads(plan(lambda: workers.queue_capacity(NOW)), "run_held", small=("worker",))

    def test_waiting_runs_are_dispatched_by_their_ids(self) -> None:
        as_the_loop_asks()
        Run.objects.filter(id__range=FEW).update(executor=Executor.CELERY, queue="reports")
        text = plan(lambda: dispatch.take_for_workers(range(FEW[0], FEW[1] + 1), NOW))
        assert_looks_up(text)

    def test_the_survey_of_runs_for_workers_reads_indexes(self) -> None:
        as_the_loop_asks()
        dispatches(worker="w1")
        assert_reads(plan(lambda: dispatch.survey(NOW)), small=("worker", "w"))

    def test_unpublished_messages_are_found_by_run_held_and_marked_by_their_ids(self) -> None:
        as_the_loop_asks()
        sent = dispatches()
        assert_reads(plan(dispatch.unpublished), "run_held")
        assert_looks_up(plan(lambda: dispatch.mark_published(sent, NOW)))

    def test_a_worker_starts_runs_by_their_ids(self) -> None:
        as_the_loop_asks()
        sent = dispatches()
        assert_looks_up(plan(lambda: starts.start_runs(sent, "w1", NOW, FOREVER)))
        assert_reads(plan(lambda: starts.startable(sent, "w1")))
        assert_reads(plan(lambda: dispatch.never_sent(sent)))

    def test_the_runs_of_a_worker_are_found_by_run_held(self) -> None:
        as_the_loop_asks()
        dispatches(worker="w1")
        assert_reads(plan(lambda: starts.runs_of("w1")), "run_held")

    def test_the_runs_of_dead_workers_are_found_by_run_held(self) -> None:
        as_the_loop_asks()
        make_worker("w1", lease_until=NOW)
        dispatches(worker="w1")
        assert_reads(plan(lambda: recovery.recover_workers(NOW, lambda: NOW)), "run_held", small=("worker", "U0"))

    def test_the_queues_without_a_worker_are_found_by_indexes(self, settings: Any) -> None:
        settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
        as_the_loop_asks()
        jobs, waiting, on_their_way, _ = plans(lambda: Fleet(NOW).unserved)
        assert_reads(jobs, "job_of_queue")
        assert_reads_one_of(waiting, "run_waiting", "run_startable")
        assert_reads(on_their_way, "run_held")

    def test_runs_that_are_held_up_are_found_by_an_index(self, settings: Any) -> None:
        settings.CRONZIMUS = settings.CRONZIMUS | {"CELERY_BROKER_URL": "redis://host/0"}
        as_the_loop_asks()
        make_worker()
        Run.objects.filter(id__range=(200_000, 200_010)).update(
            executor=Executor.CELERY, scheduler_id=DISPATCHED, queue="reports", dispatches=2, dispatched_at=NOW
        )
        found: list[HeldUp] = []
        on_their_way, _, busy = plans(lambda: found.extend(Fleet(NOW).held_up))
        assert [held.number for held in found] == [11]
        assert_reads(on_their_way, "run_held")
        assert_reads(busy, "run_held")

    def test_a_claim_reads_indexes_only(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: claims.claim_due("s1", {"thread": 100}, NOW))
        assert_reads(text, "job_due")
        # The active runs of the jobs, or, where those of all jobs are few, all that are active.
        assert_reads_one_of(text, "run_active_of_job", "run_held")

    @pytest.mark.usefixtures("fresh_on_postgresql")
    def test_a_claim_by_priority_sorts_no_more_than_the_jobs_that_have_one(self) -> None:
        as_the_loop_asks()
        # Few are due, so that the claim itself is quick; the plans go by what the tables had when they were analysed.
        Job.objects.exclude(id__startswith="job-99").update(next_run_time=after(7200))
        Job.objects.filter(id="job-1").update(priority=1, next_run_time=after(3600))
        above, plain, below, *_ = plans(lambda: claims.claim_due("s1", {"thread": 100_000}, after(3600)))
        assert_reads(above, "job_prioritised")
        assert_reads(plain, "job_due")
        assert_reads(below, "job_prioritised")
        assert_unsorted(plain)

    @pytest.mark.usefixtures("postgresql_only", "fresh_on_postgresql")
    def test_a_claim_by_priority_does_not_sort_a_table_without_statistics_either(self) -> None:
        as_the_loop_asks()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = 'cronzimus_job'::regclass")
        _, plain, *_ = plans(lambda: claims.claim_due("s1", {"thread": 100, "process": 100}, after(3600)))
        assert_reads(plain, "job_due")
        assert_unsorted(plain)

    @pytest.mark.usefixtures("postgresql_only")
    @pytest.mark.parametrize(
        "lanes",
        [("thread",), ("process", "thread"), ("celery:cronzimus", "thread"), ("celery:cronzimus",)],
        ids=lambda lanes: " ".join(lanes),
    )
    def test_many_due_jobs_are_not_sorted_where_other_executors_are_full(self, lanes: tuple[str, ...]) -> None:
        as_the_loop_asks()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE cronzimus_job SET next_run_time = %s - abs(hashtext(id)) %% 9999 * interval '1s'", [NOW]
            )
            cursor.execute("ANALYZE cronzimus_job")
        found, *_ = plans(lambda: claims.claim_due("s1", dict.fromkeys(lanes, 100), NOW, by_priority=False))
        assert_reads(found, "job_due")
        assert_unsorted(found)

    def test_a_claim_that_replaces_runs_finds_them_by_an_index(self) -> None:
        as_the_loop_asks()
        Job.objects.filter(id="due").update(overlap="replace")
        found = plans(lambda: claims.claim_due("s2", {"thread": 100}, NOW, by_priority=False))
        assert len(found) == (7 if connection.vendor == "postgresql" else 6)
        assert_reads("\n".join(found))

    def test_waiting_runs_are_found_by_run_waiting(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: admission.admit("s1", {"thread": 10}, after(60)))
        # Every active run that nobody holds waits, so the index of the held runs leads to the waiting ones too.
        assert_reads_one_of(text, "run_startable", "run_waiting", "run_held")

    @pytest.mark.usefixtures("postgresql_only")
    @pytest.mark.parametrize("lanes", [("celery:reports",), ("celery:reports", "thread")], ids=" ".join)
    def test_many_waiting_runs_are_not_sorted_where_workers_take_them(self, lanes: tuple[str, ...]) -> None:
        as_the_loop_asks()
        reports = {"status": RunStatus.QUEUED, "executor": "celery", "queue": "reports", "finished_at": None}
        Run.objects.filter(id__gt=1_000_000).update(scheduler_id=None, **reports)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE cronzimus_run")
        found, *_ = plans(
            lambda: admission.admit("s1", dict.fromkeys(lanes, 100), NOW), about="LEFT JOIN cronzimus_job"
        )
        assert_reads(found, "run_waiting")
        assert "Sort Key: r.priority" not in found

    def test_the_waiting_runs_of_a_removed_job_are_found_among_the_active(self) -> None:
        (text,) = plans(lambda: remove_job("job-7", now=NOW), about='UPDATE "cronzimus_run"')
        assert_reads_one_of(text, "run_active_of_job", "run_held", "run_waiting", "run_startable")

    def test_what_a_scheduler_holds_is_found_by_run_held(self) -> None:
        assert_reads(plan(lambda: admission.held_runs("s1")), "run_held")

    def test_what_a_dead_scheduler_held_is_found_by_run_held(self) -> None:
        text = "\n".join(plans(lambda: recovery.lose(["s1"], "dead", NOW), about="cronzimus_run"))
        assert_reads(text, "run_held")

    def test_a_recovery_finds_dead_schedulers_by_their_lease_and_unheld_runs_among_the_active(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: recovery.recover(NOW, lambda: NOW))
        assert_reads(text, "scheduler_lease", small=("scheduler",))
        assert_reads_one_of(text, "run_held", "run_active_of_job", small=("scheduler",))

    @pytest.mark.parametrize("limits", [{"keep_days": 1}, {"keep_runs": 100}, {"keep_runs": 9, "keep_failed_days": 3}])
    def test_what_a_job_does_not_keep_is_a_range_of_run_once(self, limits: dict[str, int]) -> None:
        as_the_loop_asks()
        job = Job(id="job-7", **limits)
        found = plans(lambda: prune_job(job, NOW, 10), about="cronzimus_run")
        assert_reads("\n".join(found))
        assert_reads(deleted_rows(job)[-1], "run_once")

    @pytest.mark.usefixtures("fresh_on_postgresql")
    def test_failures_that_are_kept_less_long_are_a_range_of_their_own_index(self) -> None:
        as_the_loop_asks()
        Run.objects.filter(job_id="job-7").active().delete()
        job = Job(id="job-7", keep_runs=Run.objects.filter(job_id="job-7").count() - 3, keep_failed_days=1)
        old, failures = deleted_rows(job)
        assert_reads(old, "run_once")
        assert_reads_one_of(failures, "run_unsuccessful", "run_by_status")

    def test_failures_that_are_kept_are_left_out_of_the_range_that_is_read(self) -> None:
        job = Job(id="job-7", keep_days=1, keep_failed_days=10_000)
        Run.objects.filter(job_id="job-7", status=RunStatus.SUCCEEDED).update(status=RunStatus.FAILED)
        reached = prune_job(job, NOW, 10).reached
        assert reached == after(-86400)
        as_the_loop_asks()
        text = plan(lambda: prune_job(job, NOW, 10, pruned_until=reached))
        assert "scheduled_time>? AND scheduled_time<?" in text or "scheduled_time >= '2029-12-31" in text, text

    def test_the_runs_of_removed_jobs_are_found_from_one_id_to_the_next(self, settings: Any, clock: FakeClock) -> None:
        as_the_loop_asks()
        settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_days": 10_000}}
        pruner = Pruner(clock)
        clock.advance(ROUND_SECONDS)
        (found,) = [text for text in plans(pruner.work) if "run_jobs" in text]
        assert_reads(found, "run_once", small=("run_jobs",))

    @pytest.mark.usefixtures("fresh_on_postgresql")  # by old statistics a small table may be read whole
    def test_what_waits_is_counted_from_a_range_of_an_index(self) -> None:
        text = plan(lambda: due_jobs(NOW))
        assert_reads(text, "job_due")
        assert "COVERING INDEX" in text or connection.vendor == "postgresql", text
        assert_reads(plan(lambda: waiting_runs(after(60))), "run_startable")

    def test_outcomes_are_written_by_the_primary_keys(self) -> None:
        recorder = Recorder(lambda ended: None)
        recorder.finished(outcome(100_000, job_id="due"))
        recorder.finished(outcome(1_000_001, job_id="job-1"))  # of another scheduler: is it on record already?
        as_the_loop_asks()
        text = plan(lambda: flush(recorder))
        assert_looks_up(text)
        assert "SCAN cronzimus_run" not in text, text

    def test_starts_and_output_are_written_by_the_primary_key(self) -> None:
        as_the_loop_asks()
        starts = [Start(100_000 + number, NOW) for number in range(3)]
        assert_looks_up(plan(lambda: outcomes.write_starts(starts, "s1")))
        updates = [LiveUpdate(start.run_id, 0, "so far", 6, None) for start in starts]
        assert_looks_up(plan(lambda: outcomes.write_live(updates, "s1")))
