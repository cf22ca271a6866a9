"""The lists of runs in the API and the admin use indexes, on both databases, in tables that have grown."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from jobs.core.runs import ACTIVE, UNSCHEDULED, RunStatus, RunTrigger
from jobs.models import Run
from jobs.services import run_job
from tests.fakes import NOW

from .admin_support import JOBS as JOB_LIST
from .admin_support import RUNS, Admin, admin_fixture, at_noon_fixture
from .api_client import Api
from .plans import analyze, assert_reads, assert_reads_one_of, assert_unsorted, grown, plans

__all__ = ["admin_fixture", "at_noon_fixture", "grown"]

pytestmark = pytest.mark.django_db

LISTED = 'FROM "cronzimus_run"'


def plan_of_api(api: Api, path: str) -> str:
    """Return the plans of the statements that read runs for a page of the API."""
    return "\n".join(plans(lambda: api.get(path), about=LISTED))


def plan_of_admin(admin: Admin, **query: Any) -> str:
    """Return the plan of the statement that reads the rows of the admin's list: the last one, if it looks twice."""
    (*_, found) = plans(lambda: admin.open(RUNS, **query), about='AS "error_start"')
    return found


def few_are_active() -> None:
    """End the runs that other schedulers hold: PostgreSQL reads the whole table if a tenth of it is active."""
    Run.objects.active().filter(id__gte=1_000_000).update(status=RunStatus.SUCCEEDED, finished_at=NOW)
    analyze()


@pytest.mark.usefixtures("grown")
class TestLists:
    """In tables that have grown."""

    def test_the_newest_runs_are_read_off_run_newest_by_the_api(self, api: Api) -> None:
        text = plan_of_api(api, "/scheduler/runs")
        assert_reads(text, "run_newest")
        assert_unsorted(text)

    def test_the_next_page_is_a_range_of_run_newest(self, api: Api) -> None:
        following = api.get("/scheduler/runs")["next"]
        text = plan_of_api(api, following.removeprefix("http://testserver"))
        assert_reads(text, "run_newest")
        assert_unsorted(text)

    def test_the_newest_runs_are_read_off_run_newest_by_the_admin(self, admin: Admin) -> None:
        text = plan_of_admin(admin)
        assert_reads(text, "run_newest")
        assert_unsorted(text)

    def test_the_failed_runs_are_read_off_run_by_status(self, api: Api, admin: Admin) -> None:
        for text in (plan_of_api(api, "/scheduler/runs?status=failed"), plan_of_admin(admin, status="failed")):
            assert_reads(text, "run_by_status")
            assert_unsorted(text)

    def test_the_failed_runs_of_a_span_are_a_range_of_run_by_status(self, admin: Admin) -> None:
        assert_reads(plan_of_admin(admin, status="failed", since="24h"), "run_by_status")

    def test_the_next_page_of_failed_runs_is_a_range_of_run_by_status(self, api: Api) -> None:
        following = api.get("/scheduler/runs?status=failed&limit=10")["next"]
        assert_reads(plan_of_api(api, following.removeprefix("http://testserver")), "run_by_status")

    def test_the_runs_that_succeeded_are_read_off_run_newest(self, api: Api) -> None:
        assert_reads(plan_of_api(api, "/scheduler/runs?status=succeeded"), "run_newest")

    @pytest.mark.parametrize("status", ACTIVE)
    def test_the_active_runs_of_one_status_are_looked_for_among_the_active(self, api: Api, status: RunStatus) -> None:
        few_are_active()
        text = plan_of_api(api, f"/scheduler/runs?status={status}")
        assert_reads_one_of(text, "run_active_of_job", "run_held", "run_waiting", "run_startable")
        assert "cronzimus_run_newest" not in text, text

    def test_the_unsuccessful_runs_of_a_job_are_read_off_run_unsuccessful(self, admin: Admin) -> None:
        text = plan_of_admin(admin, status="unsuccessful", job="job-7")
        assert_reads(text, "run_unsuccessful")
        assert "TEMP B-TREE" not in text, text  # PostgreSQL sorts the few that it finds

    @pytest.mark.parametrize("query", [{"status": "unsuccessful"}, {"status": "failures"}, {"q": "status:not_run"}])
    def test_the_runs_of_several_statuses_are_the_first_of_each_in_run_by_status(
        self, admin: Admin, query: dict[str, str]
    ) -> None:
        text = plan_of_admin(admin, **query)
        assert_reads(text, "run_by_status")
        assert "cronzimus_run_newest" not in text, text

    def test_a_search_that_finds_all_jobs_is_tried_among_the_newest_runs_first(self, admin: Admin) -> None:
        found = plans(lambda: admin.open(RUNS, q="job"), about='AS "error_start"')
        assert len(found) == 1
        assert_reads(found[0], "run_newest")

    @pytest.mark.parametrize("trigger", UNSCHEDULED)
    def test_the_runs_that_no_schedule_made_are_read_off_run_unscheduled(
        self, admin: Admin, trigger: RunTrigger
    ) -> None:
        text = plan_of_admin(admin, trigger=trigger.value)
        assert_reads(text, "run_unscheduled")
        assert_unsorted(text)

    @pytest.mark.parametrize("words", ["job-7001", "200001", "nothing"])
    def test_a_search_for_runs_reads_those_of_the_jobs_that_it_finds(self, admin: Admin, words: str) -> None:
        assert_reads(plan_of_admin(admin, q=words), "run_once")

    def test_the_runs_of_one_job_are_read_off_run_once(self, api: Api) -> None:
        assert_reads(plan_of_api(api, "/scheduler/jobs/due/runs"), "run_once")

    @pytest.mark.parametrize(
        ("words", "index"), [([], "run_newest"), (["--job", "job-3"], "run_once"),
                             (["--job", "job-3", "--status", "failed"], "run_unsuccessful")],
    )  # fmt: skip
    def test_the_newest_runs_are_read_off_an_index_by_the_command_line(self, words: list[str], index: str) -> None:
        *_, found = plans(lambda: call_command("cronzimus", "runs", *words, stdout=StringIO()), about=LISTED)
        assert_reads(found, index)
        if "--status" not in words:
            assert_unsorted(found)

    def test_the_last_runs_of_a_page_of_jobs_are_read_off_run_once(self, admin: Admin) -> None:
        about = "FROM unnest" if connection.vendor == "postgresql" else "AS (VALUES"
        (text,) = plans(lambda: admin.open(JOB_LIST), about=about)
        assert "cronzimus_run_once" in text, text

    def test_the_failures_of_the_last_days_are_read_off_an_index_of_the_unsuccessful(self, admin: Admin) -> None:
        (text, *_) = plans(lambda: admin.open(f"{RUNS}failures/"), about="GROUP BY")
        assert_reads_one_of(text, "run_by_status", "run_unsuccessful")

    def test_what_is_to_come_is_a_range_of_job_due(self, admin: Admin) -> None:
        (text,) = plans(lambda: admin.open(f"{JOB_LIST}upcoming/"), about='ORDER BY "cronzimus_job"."next_run_time"')
        assert "cronzimus_job_due" in text or connection.vendor == "postgresql", text  # nearly all jobs are due soon

    def test_whether_a_fire_time_is_on_record_is_looked_up_in_run_once(self) -> None:
        (text,) = plans(lambda: run_job("job-7", now=NOW), about="LIMIT 1")
        assert_reads(text, "run_once")
