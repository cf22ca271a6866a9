"""The pages of jobs and runs, and the timeline, use indexes, on both databases, in tables that have grown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jobs.models import Job, RollUp, Run, RunHour
from jobs.selectors import timeline
from jobs.selectors.job_history import hours, last_runs
from jobs.selectors.run_history import attempts_of, same_error
from jobs.selectors.statistics import HOUR, buckets
from jobs.selectors.why import explain
from tests.fakes import NOW, after

from .plans import analyze, assert_reads, assert_reads_one_of, assert_unsorted, grown, plan

__all__ = ["grown"]

pytestmark = pytest.mark.django_db
THEN = after(-30 * 86_400)
"""An instant in the long history."""


@pytest.mark.usefixtures("grown")
class TestPages:
    """In tables that have grown."""

    def test_the_last_runs_of_a_job_are_read_off_run_once(self) -> None:
        text = plan(lambda: last_runs("job-7", 300))
        assert_reads_one_of(text, "run_once", "run_newest")  # PostgreSQL may take either for a tenth of all runs

    def test_the_attempts_of_a_fire_time_are_read_off_run_once(self) -> None:
        run = Run.objects.filter(job_id="job-7").order_by("-scheduled_time").first()
        assert run is not None
        assert_reads(plan(lambda: attempts_of(run)), "run_once")

    def test_the_runs_with_the_same_error_are_read_off_run_unsuccessful(self) -> None:
        assert_reads(plan(lambda: same_error("job-7", "E: no", NOW)), "run_unsuccessful")

    def test_the_runs_around_an_instant_are_read_off_run_once(self) -> None:
        job = Job.objects.get(pk="job-7")
        assert_reads(plan(lambda: explain(job, job.pk, THEN, NOW)), "run_once")

    def test_the_hours_of_a_job_are_read_off_their_constraint(self) -> None:
        RunHour.objects.bulk_create(
            RunHour(job_id=f"job-{number % 100}", hour=after(-3600 * (number // 100)), status="succeeded", count=1)
            for number in range(10_000)
        )
        analyze()
        text = plan(lambda: hours("job-7", THEN))
        assert "run_hour" in text, text

    def test_the_lanes_of_jobs_are_read_off_an_index(self) -> None:
        ids = [f"job-{number}" for number in range(5)]
        text = plan(lambda: timeline.bars_of(ids, THEN, THEN + timedelta(hours=1)))
        assert_reads_one_of(text, "run_once", "run_newest")

    def test_the_lanes_of_hosts_are_read_off_run_newest(self) -> None:
        text = plan(lambda: timeline.newest_bars(THEN, THEN + timedelta(hours=1)))
        assert_reads(text, "run_newest")
        assert_unsorted(text)

    def test_the_runs_of_a_chart_are_those_that_the_statistics_do_not_have(self) -> None:
        newest = Run.objects.order_by("pk").values_list("pk", flat=True).last()
        RollUp.objects.create(counted=newest, seen=newest, seen_at=NOW)
        text = plan(lambda: buckets(NOW, HOUR, 48))
        assert_reads(text, small=("sitehour", "rollup", "uncounted"))
        assert "cronzimus_run_newest" not in text, text
