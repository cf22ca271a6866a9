"""Each question that is asked often is answered from its index, on both databases, in a table that has grown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from jobs.admin.runs.filters import found
from jobs.core.runs import ACTIVE, UNSCHEDULED, RunStatus, RunTrigger
from jobs.models import Job, Run, Scheduler
from jobs.scheduler.pruner import ROUND_SECONDS, Pruner
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.store import admission, claims, recovery
from jobs.scheduler.store.pending import pending_work
from jobs.scheduler.store.retention import prune_job
from jobs.selectors.backlog import due_jobs, waiting_runs
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_scheduler, outcome

from .loop_support import flush

NEWEST = ("-scheduled_time", "-id")
"""The order of every list of runs."""
pytestmark = pytest.mark.django_db

JOBS, RUNS = 10_000, 20_000


# Long histories of ten jobs; one run of eleven is active, held by one of ninety-seven schedulers.
RUN_COLUMNS = {
    "id": "1000000 + n",
    "job_id": "'job-' || (n % 10)",
    "scheduler_id": "'other-' || (n % 97)",
    "status": "CASE WHEN n % 11 = 0 THEN 'running' ELSE 'succeeded' END",
    "finished_at": "CASE WHEN n % 11 = 0 THEN NULL ELSE t.finished_at END",
}


@pytest.fixture
def grown() -> None:
    """Ten thousand jobs, a few of them due; twenty thousand runs; and ANALYZE."""
    make_job("template", next_run_time=after(3600))
    make_run("template", status=RunStatus.SUCCEEDED, scheduler_id="s1")
    with connection.cursor() as cursor:
        cursor.execute(_multiplied(Job, JOBS, id="'job-' || n"))
        moment = "'2029-12-01'::timestamptz + n * interval '1 second'"
        if connection.vendor == "sqlite":
            moment = "datetime('2029-12-01', '+' || n || ' seconds')"
        cursor.execute(_multiplied(Run, RUNS, scheduled_time=moment, **RUN_COLUMNS))
    make_job("due")
    for number in range(3):
        make_run("due", id=100_000 + number, scheduled_time=after(number), scheduler_id="s1")
    waiting = {"func": "tests:record", "status": RunStatus.QUEUED, "trigger": RunTrigger.MANUAL}
    Run.objects.bulk_create(
        Run(id=200_000 + n, job_id=f"job-{n % 10}", scheduled_time=after(n), **waiting) for n in range(500)
    )
    Run.objects.filter(id__range=(1_000_000, 1_000_200), status=RunStatus.SUCCEEDED).update(status=RunStatus.FAILED)
    for number, trigger in enumerate(UNSCHEDULED):
        Run.objects.filter(id__range=(1_001_000 + number, 1_001_200), status=RunStatus.SUCCEEDED).update(
            trigger=trigger
        )
    alive = make_scheduler("s1")
    fields = {field.attname: getattr(alive, field.attname) for field in Scheduler._meta.concrete_fields}
    Scheduler.objects.bulk_create(Scheduler(**{**fields, "id": f"other-{number}"}) for number in range(97))
    Scheduler.objects.bulk_create(Scheduler(**{**fields, "id": f"old-{n}", "stopped_at": NOW}) for n in range(50))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _multiplied(model: Any, count: int, **changed: str) -> str:
    """Return the statement that copies the one row of `model` `count` times, with the columns `changed`."""
    columns = [field.column for field in model._meta.concrete_fields]
    selected = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return (
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "  # noqa: S608
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {selected} FROM {model._meta.db_table} t, numbers"
    )


def plans(action: Callable[[], Any]) -> list[str]:
    """Return the database's plan of each statement of `action`."""
    found: list[str] = []
    sqlite = connection.vendor == "sqlite"

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split()[0] in ("SELECT", "UPDATE", "WITH", "DELETE", "INSERT"):
            # With the driver's own cursor: what is explained is not explained again.
            cursor = connection.connection.cursor()
            explained = "EXPLAIN QUERY PLAN " + sql.replace("%s", "?") if sqlite else "EXPLAIN " + sql
            cursor.execute(explained, params or ())
            found.append("\n".join(row[-1] for row in cursor.fetchall()))
            cursor.close()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        action()
    return found


def plan(action: Callable[[], Any]) -> str:
    """Return the plans of all the statements of `action`."""
    return "\n".join(plans(action))


def as_the_loop_asks() -> None:
    """Have this connection plan as the loop's own does, until the transaction ends (`store.connection`)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")


def assert_reads(text: str, *indexes: str) -> None:
    """Check that `text`, a plan, reads each of `indexes`, and no table from end to end."""
    for index in indexes:
        assert index in text, text
    for scan in ("Seq Scan on jobs_", "SCAN cronzimus_run\n", "SCAN cronzimus_job\n"):
        assert scan not in text + "\n", text


@pytest.mark.usefixtures("grown")
class TestIndexes:
    """On tables that have grown."""

    def test_the_due_jobs_are_found_by_job_due(self) -> None:
        assert_reads(plan(lambda: list(Job.objects.due(NOW)[:100])), "cronzimus_job_due")

    def test_a_look_reads_indexes(self) -> None:
        text = plan(lambda: pending_work("s1"))
        for small in ("cronzimus_control", "cronzimus_scheduler"):  # a row, or one for each scheduler of the last week
            text = text.replace(f"Seq Scan on {small}", "")
        assert_reads(text, "cronzimus_job_due", "cronzimus_run_cancel")
        assert any(
            name in text
            for name in (
                "cronzimus_run_startable",
                "cronzimus_run_waiting",
                "cronzimus_run_by_status",
                "cronzimus_run_held",
            )
        ), text

    def test_the_cancellations_of_a_scheduler_are_found_by_an_index(self) -> None:
        wanted = Run.objects.active().filter(scheduler_id="s1", cancel_requested_at__isnull=False)
        assert_reads(plan(lambda: list(wanted.values_list("id"))))

    def test_the_runs_for_whose_end_others_wait_are_found_by_indexes(self) -> None:
        as_the_loop_asks()
        assert_reads(plan(lambda: admission.awaited_runs("s1")))

    def test_the_runs_of_a_full_group_are_counted_by_an_index(self) -> None:
        as_the_loop_asks()
        Run.objects.filter(id__range=(200_000, 200_010)).update(concurrency_group="g")
        assert_reads(plan(lambda: admission.admit("s1", {"thread": 10}, after(60))), "cronzimus_run_active_of_group")

    def test_a_claim_reads_indexes_only(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: claims.claim_due("s1", {"thread": 100}, NOW))
        assert_reads(text, "cronzimus_job_due")
        # The active runs of the jobs, or, where those of all jobs are few, all that are active.
        assert "cronzimus_run_active_of_job" in text or "cronzimus_run_held" in text, text

    def test_a_claim_by_priority_sorts_no_more_than_the_jobs_that_have_one(self) -> None:
        as_the_loop_asks()
        Job.objects.filter(id="job-1").update(priority=1)
        above, plain, below, *_ = plans(lambda: claims.claim_due("s1", {"thread": 100_000}, after(3600)))
        assert_reads(above, "cronzimus_job_prioritised")
        assert_reads(plain, "cronzimus_job_due")
        assert_reads(below, "cronzimus_job_prioritised")
        assert "Sort" not in plain
        assert "TEMP B-TREE" not in plain, plain

    @pytest.mark.usefixtures("postgresql_only")
    def test_a_claim_by_priority_from_a_table_without_statistics_does_not_either(self) -> None:
        as_the_loop_asks()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = 'cronzimus_job'::regclass")
        _, plain, *_ = plans(lambda: claims.claim_due("s1", {"thread": 100, "process": 100}, after(3600)))
        assert_reads(plain, "cronzimus_job_due")
        assert "Sort" not in plain, plain

    def test_a_claim_that_replaces_runs_finds_them_by_an_index(self) -> None:
        as_the_loop_asks()
        Job.objects.filter(id="due").update(overlap="replace")
        found = plans(lambda: claims.claim_due("s2", {"thread": 100}, NOW, by_priority=False))
        assert len(found) == (7 if connection.vendor == "postgresql" else 6)
        assert_reads("\n".join(found))

    def test_the_active_runs_of_jobs_are_found_by_run_active_of_job(self) -> None:
        runs = Run.objects.active().filter(job_id__in=["due", "job-5", "job-6"]).values_list("job_id", "id")
        assert_reads(plan(lambda: list(runs.order_by("id"))), "cronzimus_run_active_of_job")

    def test_waiting_runs_are_found_by_run_waiting(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: admission.admit("s1", {"thread": 10}, after(60)))
        assert_reads(text)
        assert any(
            name in text for name in ("cronzimus_run_startable", "cronzimus_run_waiting", "cronzimus_run_held")
        ), text
        # All that nobody holds waits, so that the index of what is held leads there as well.
        text = plan(lambda: list(Run.objects.waiting()[:10]))
        assert_reads(text)
        assert any(
            name in text for name in ("cronzimus_run_startable", "cronzimus_run_waiting", "cronzimus_run_held")
        ), text

    def test_what_a_scheduler_holds_is_found_by_run_held(self) -> None:
        assert_reads(plan(lambda: list(Run.objects.active().filter(scheduler_id__in=["s1"]))), "cronzimus_run_held")
        assert_reads(plan(lambda: admission.held_runs("s1")))

    def test_what_a_dead_scheduler_held_is_found_by_run_held(self) -> None:
        assert_reads(plan(lambda: recovery.lose(["s1"], "dead", NOW)), "cronzimus_run_held")

    def test_what_nobody_holds_any_more_is_looked_for_among_the_active(self) -> None:
        as_the_loop_asks()
        text = plan(lambda: recovery.recover(NOW))
        assert_reads(text.replace("Seq Scan on cronzimus_scheduler", ""))
        assert "cronzimus_run_held" in text or "cronzimus_run_active_of_job" in text, text

    def test_dead_schedulers_are_found_by_scheduler_lease(self) -> None:
        text = plan(lambda: list(Scheduler.objects.dead(NOW)))
        assert (
            "cronzimus_scheduler_lease" in text or connection.vendor == "postgresql"
        )  # fifty rows: PostgreSQL just reads them

    def test_the_newest_runs_are_found_by_run_newest(self) -> None:
        text = plan(lambda: list(Run.objects.order_by(*NEWEST)[:50]))
        assert_reads(text.replace("SCAN cronzimus_run USING INDEX", ""), "cronzimus_run_newest")
        assert "Sort" not in text
        assert "TEMP B-TREE" not in text, text

    def test_the_runs_of_one_status_are_found_by_run_by_status(self) -> None:
        text = plan(lambda: list(Run.objects.all().of_status(RunStatus.FAILED).order_by(*NEWEST)[:50]))
        assert_reads(text, "cronzimus_run_by_status")
        assert "TEMP B-TREE" not in text, text

    def test_the_runs_of_one_status_within_a_time_are_a_range_of_run_by_status(self) -> None:
        runs = Run.objects.all().of_status(RunStatus.FAILED).filter(scheduled_time__lt=NOW)
        assert_reads(plan(lambda: list(runs.order_by(*NEWEST)[:50])), "cronzimus_run_by_status")

    def test_the_runs_that_succeeded_are_read_off_run_newest(self) -> None:
        text = plan(lambda: list(Run.objects.all().of_status(RunStatus.SUCCEEDED).order_by(*NEWEST)[:50]))
        assert_reads(text.replace("SCAN cronzimus_run USING INDEX", ""), "cronzimus_run_newest")

    @pytest.mark.parametrize("status", ACTIVE)
    def test_the_active_runs_of_one_status_are_looked_for_among_the_active(self, status: RunStatus) -> None:
        text = plan(lambda: list(Run.objects.all().of_status(status).order_by(*NEWEST)[:50]))
        assert any(
            name in text
            for name in (
                "cronzimus_run_active_of_job",
                "cronzimus_run_held",
                "cronzimus_run_waiting",
                "cronzimus_run_startable",
            )
        ), text
        assert "SCAN cronzimus_run USING INDEX run_newest" not in text, text

    def test_the_runs_of_a_job_that_did_not_succeed_are_found_by_an_index_of_their_own(self) -> None:
        text = plan(lambda: list(Run.objects.filter(job_id="job-7").unsuccessful().order_by(*NEWEST)[:50]))
        assert_reads(text, "cronzimus_run_unsuccessful")
        assert "TEMP B-TREE" not in text, text

    def test_the_runs_that_did_not_succeed_are_found_by_run_by_status_or_newest(self) -> None:
        text = plan(lambda: list(Run.objects.all().unsuccessful().order_by(*NEWEST)[:50]))
        assert_reads(text.replace("SCAN cronzimus_run USING INDEX", ""))
        assert "cronzimus_run_by_status" in text or "cronzimus_run_newest" in text, text

    @pytest.mark.parametrize("trigger", UNSCHEDULED)
    def test_the_runs_that_no_schedule_made_are_found_by_run_unscheduled(self, trigger: RunTrigger) -> None:
        text = plan(lambda: list(Run.objects.all().made_by(trigger).order_by(*NEWEST)[:50]))
        assert_reads(text, "cronzimus_run_unscheduled")
        assert "TEMP B-TREE" not in text, text

    @pytest.mark.parametrize("words", ["job-7001", "200001", "nothing"])
    def test_a_search_for_runs_reads_those_of_the_jobs_that_it_finds(self, words: str) -> None:
        text = plans(lambda: list(found(Run.objects.all(), words).order_by(*NEWEST)[:50]))[-1]
        assert_reads(text, "cronzimus_run_once")

    def test_the_runs_of_one_job_are_found_by_run_once(self) -> None:
        assert_reads(
            plan(lambda: list(Run.objects.filter(job_id="job-7").order_by(*NEWEST)[:50])), "cronzimus_run_once"
        )

    def test_one_run_of_one_job_is_found_by_run_once(self) -> None:
        assert_reads(
            plan(lambda: Run.objects.filter(job_id="job-7", scheduled_time=NOW).exists()), "cronzimus_run_once"
        )

    @pytest.mark.parametrize("limits", [{"keep_days": 1}, {"keep_runs": 100}, {"keep_runs": 9, "keep_failed_days": 3}])
    def test_what_a_job_does_not_keep_is_a_range_of_run_once(self, limits: dict[str, int]) -> None:
        as_the_loop_asks()
        job = Job(id="job-7", **limits)
        found = plans(lambda: prune_job(job, NOW, 10))
        assert_reads("\n".join(found))
        assert "cronzimus_run_once" in found[-2], found[-2]

    def test_failures_that_are_kept_less_long_are_a_range_of_their_own_index(self) -> None:
        as_the_loop_asks()
        Run.objects.filter(job_id="job-7").active().delete()
        job = Job(id="job-7", keep_runs=Run.objects.filter(job_id="job-7").count() - 3, keep_failed_days=1)
        *_, old, _, failures, _ = plans(lambda: prune_job(job, NOW, 10))
        assert_reads(old, "cronzimus_run_once")
        assert "cronzimus_run_unsuccessful" in failures or "cronzimus_run_by_status" in failures, failures

    def test_failures_that_are_kept_are_left_out_of_the_range_that_is_read(self) -> None:
        job, seen = Job(id="job-7", keep_days=1, keep_failed_days=10_000), dict[str, Any]()
        Run.objects.filter(job_id="job-7", status=RunStatus.SUCCEEDED).update(status=RunStatus.FAILED)
        prune_job(job, NOW, 10, pruned_until=seen)
        assert seen["job-7"] == after(-86400)
        as_the_loop_asks()
        text = plan(lambda: prune_job(job, NOW, 10, pruned_until=seen))
        assert "scheduled_time>? AND scheduled_time<?" in text or "scheduled_time >= '2029-12-31" in text, text

    def test_the_runs_of_removed_jobs_are_found_from_one_id_to_the_next(self, settings: Any, clock: FakeClock) -> None:
        as_the_loop_asks()
        settings.CRONZIMUS = settings.CRONZIMUS | {"JOB_DEFAULTS": {"keep_days": 10_000}}
        pruner = Pruner(clock)
        clock.advance(ROUND_SECONDS)
        found = [text for text in plans(pruner.work) if "owners" in text]
        assert len(found) == 1
        assert "cronzimus_run_once" in found[0], found[0]
        assert "SCAN cronzimus_run" not in found[0].replace("SCAN cronzimus_run USING COVERING INDEX run_once", ""), (
            found[0]
        )

    def test_what_waits_is_counted_from_a_range_of_an_index(self) -> None:
        text = plan(lambda: due_jobs(NOW))
        assert_reads(text, "cronzimus_job_due")
        assert "COVERING INDEX" in text or connection.vendor == "postgresql", text
        assert_reads(plan(lambda: waiting_runs(after(60))), "cronzimus_run_startable")

    def test_outcomes_are_written_by_the_primary_keys(self) -> None:
        recorder = Recorder(lambda ended: None)
        recorder.finished(outcome(100_000, job_id="due"))
        recorder.finished(outcome(1_000_001, job_id="job-1"))  # of another scheduler: is it on record already?
        text = plan(lambda: flush(recorder))
        assert "Seq Scan on cronzimus_run" not in text, text
        assert "SCAN cronzimus_run" not in text, text
        assert "SCAN j\n" not in text + "\n", text
