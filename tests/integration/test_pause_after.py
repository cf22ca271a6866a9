"""`pause_after`: a job pauses itself after so many failures in a row, with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services
from jobs.core.runs import RunStatus
from jobs.models import AuditEvent, Job, JobVersion, Run
from jobs.scheduler.incidents import IncidentWatch
from jobs.scheduler.store import recovery
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_scheduler, outcome

from .admin_support import JOBS, Admin, admin_fixture, at_noon_fixture
from .api_client import Api
from .loop_support import MakeLoop, settle, statuses

__all__ = ["admin_fixture", "at_noon_fixture"]

pytestmark = pytest.mark.django_db

FAILURES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)


def end(*ends: str, job_id: str = "job", now: Any = NOW) -> None:
    """End runs of the job with these statuses, one after the other, as the loop records them."""
    watch = IncidentWatch()
    for status in ends:
        watch.refresh(now)
        run = make_run(job_id, status=status, scheduled_time=after(Run.objects.count()))
        watch.ended([outcome(run.pk, job_id=job_id, status=RunStatus(status), error="ValueError: no")], now)


def paused(job_id: str = "job") -> bool:
    """Tell whether the job is paused."""
    return Job.objects.get(pk=job_id).paused


@pytest.mark.parametrize("status", FAILURES)
def test_a_job_pauses_itself_after_so_many_failures_in_a_row(status: RunStatus) -> None:
    make_job(pause_after=3, next_run_time=after(10))
    end(status, status)
    assert not paused()
    end(status)
    job = Job.objects.get()
    assert (job.paused, job.next_run_time, job.pause_reason) == (True, None, "failed 3 times in a row")
    assert (job.paused_at, job.updated_at) == (NOW, NOW)


def test_the_pause_is_on_record_as_the_schedulers_with_a_version_of_its_own() -> None:
    make_job(pause_after=1)
    end("failed")
    job, (event,) = Job.objects.get(), AuditEvent.objects.all()
    assert (event.actor, event.door, event.action, event.job_id) == ("scheduler", "scheduler", "job_paused", "job")
    assert event.changes == {"paused": [False, True], "pause_reason": ["", "failed once"]}
    version = JobVersion.objects.get(number=job.version)
    assert (version.actor, version.door, version.definition["paused"]) == ("scheduler", "scheduler", True)
    assert job.paused_by == "scheduler"


def test_once_is_enough_where_the_job_says_so() -> None:
    make_job(pause_after=1)
    end("failed")
    assert Job.objects.get().pause_reason == "failed once"


def test_a_job_without_it_is_never_paused() -> None:
    make_job()
    end(*["failed"] * 5)
    assert not paused()


def test_a_success_starts_the_count_anew() -> None:
    make_job(pause_after=3)
    end("failed", "failed", "succeeded", "failed", "failed")
    assert not paused()
    end("failed")
    assert paused()


@pytest.mark.parametrize("status", ["cancelled", "missed", "skipped"])
def test_what_is_no_failure_changes_nothing(status: str) -> None:
    make_job(pause_after=2)
    end("failed", status)
    assert not paused()
    end("failed")
    assert paused()


def test_the_failures_of_other_jobs_do_not_count() -> None:
    make_job("a", pause_after=2)
    make_job("b", pause_after=2)
    end("failed", job_id="a")
    end("failed", job_id="b")
    assert not paused("a")


def test_an_attempt_that_is_tried_again_is_no_failure() -> None:
    make_job(pause_after=1)
    make_run(id=1, status=RunStatus.FAILED)
    make_run(id=2, attempt=2)
    IncidentWatch().ended([outcome(1, status=RunStatus.FAILED)], NOW)
    assert not paused()
    IncidentWatch().ended([outcome(2, status=RunStatus.FAILED)], NOW)
    assert paused()


def test_after_a_resume_the_count_starts_anew() -> None:
    make_job(pause_after=2)
    end("failed", "failed")
    job = services.resume_job("job", now=after(5))
    assert (job.paused, job.pause_reason, job.next_run_time) == (False, "", after(10))
    end("failed")
    assert not paused()
    end("failed")
    assert Job.objects.get().pause_reason == "failed 2 times in a row"


def test_a_resume_of_a_job_that_a_person_paused_starts_the_count_anew_too() -> None:
    make_job(pause_after=2)
    end("failed")
    services.pause_job("job", now=NOW)
    services.resume_job("job", now=NOW)
    end("failed")
    assert not paused()


def test_a_pause_by_a_person_has_no_reason() -> None:
    make_job(pause_after=1)
    assert services.pause_job("job", now=NOW).pause_reason == ""


def test_a_pause_until_an_instant_becomes_one_for_good() -> None:
    make_job(pause_after=1, paused_until=after(60), paused_at=after(-60), next_run_time=after(60))
    end("failed")
    job = Job.objects.get()
    assert (job.paused, job.paused_until, job.next_run_time, job.paused_at) == (True, None, None, after(-60))


def test_a_fire_time_that_is_due_and_not_claimed_is_skipped() -> None:
    make_job(pause_after=1, next_run_time=after(10))
    end("failed", now=after(15))
    skipped = Run.objects.get(status=RunStatus.SKIPPED)
    assert (skipped.scheduled_time, skipped.reason) == (after(10), "its job was paused before a scheduler claimed it")


def test_runs_that_are_lost_count() -> None:
    make_job(pause_after=2, next_run_time=after(10))
    make_scheduler("s1")
    for number in range(2):
        make_run(status=RunStatus.RUNNING, scheduler_id="s1", scheduled_time=after(number))
    recovery.lose(["s1"], "it died", NOW)
    assert Job.objects.get().pause_reason == "failed 2 times in a row"


def test_the_loop_claims_nothing_more_of_it(make_loop: MakeLoop, clock: FakeClock) -> None:
    make_job(func="tests:fail", pause_after=2)
    loop = make_loop()
    for _ in range(4):
        settle(loop)
        clock.advance(10)
    assert statuses(job_id="job") == ["failed", "failed"]
    assert paused()


def test_it_costs_no_statement_where_nothing_fails(statements: Any) -> None:
    make_job(pause_after=1)
    run = make_run(status=RunStatus.SUCCEEDED)
    with statements() as sent:
        IncidentWatch().ended([outcome(run.pk)], NOW)
    assert sent == []


def test_a_job_that_was_removed_is_left_out() -> None:
    make_job("other", pause_after=1)
    end("failed", job_id="gone")
    assert not paused("other")


def test_the_api_shows_why(api: Api) -> None:
    make_job(pause_after=1)
    assert api.get("/scheduler/jobs/job")["pause_reason"] == ""
    end("failed")
    shown = api.get("/scheduler/jobs/job")
    assert (shown["state"], shown["pause_reason"], shown["pause_after"]) == ("paused", "failed once", 1)


def test_what_the_api_shows_can_be_put_back(api: Api) -> None:
    make_job(pause_after=1)
    end("failed")
    before = Job.objects.values().get()
    api.done("PUT", "/scheduler/jobs/job", api.get("/scheduler/jobs/job"))
    assert Job.objects.values().get() == before
    assert api.refused("PATCH", "/scheduler/jobs/job", {"pause_reason": "x"})[2] == {"pause_reason"}


def test_the_admin_shows_why(admin: Admin) -> None:
    make_job(pause_after=2)
    end("failed", "failed")
    assert 'title="failed 2 times in a row"' in admin.read(JOBS)
