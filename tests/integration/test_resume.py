"""A job, or all jobs, are resumed with none, the last or all of the fire times that fell into the pause."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services
from jobs.core.exceptions import InvalidArguments, InvalidRequest
from jobs.core.runs import MissedChoice, RunStatus, RunTrigger
from jobs.models import Backfill, Control, Job, Run
from jobs.scheduler.store import backfills, claims
from tests.fakes import NOW, after, by, make_job, make_jobs, make_run

from .api_client import Api

pytestmark = pytest.mark.django_db

JOB = "/scheduler/jobs/job"
CAPACITY = {"thread": 50}


def paused_job(**fields: Any) -> Job:
    """Add a job that fires every ten seconds from `NOW` + 10 on, and pause it at `NOW` + 5."""
    services.add_job({"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10, **fields}, now=NOW)
    return services.pause_job("job", now=after(5))


def resume(missed: MissedChoice, at: float = 38, job_id: str = "job") -> Backfill | None:
    with by("alice"):
        _, backfill = services.resume_with(job_id, missed=missed, now=after(at))
    return backfill


def queued(at: float) -> list[Any]:
    """Let the schedulers take the backfills as far as they go; return the scheduled times of their runs."""
    while backfills.advance(after(at)) or Run.objects.active().update(status="succeeded", finished_at=after(at)):
        pass
    return list(
        Run.objects.filter(trigger=RunTrigger.BACKFILL)
        .order_by("scheduled_time")
        .values_list("scheduled_time", flat=True)
    )


# --- one job -------------------------------------------------------------------------------------------------------


def test_without_a_choice_no_fire_time_of_the_pause_runs() -> None:
    paused_job()
    job = services.resume_job("job", now=after(38))
    assert (job.paused, job.paused_at, job.next_run_time) == (False, None, after(40))
    assert not Backfill.objects.exists()


def test_the_last_fire_time_of_the_pause_runs() -> None:
    paused_job()
    backfill = resume(MissedChoice.LAST)
    assert backfill is not None
    assert (backfill.start, backfill.end, backfill.actor) == (after(30), after(30), "alice")
    assert queued(39) == [after(30)]
    assert Job.objects.get().next_run_time == after(40)


def test_all_fire_times_of_the_pause_run() -> None:
    paused_job()
    resume(MissedChoice.ALL)
    assert queued(39) == [after(10), after(20), after(30)]


def test_a_fire_time_at_the_end_of_the_pause_belongs_to_the_pause() -> None:
    services.add_job({"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10}, now=NOW)
    services.pause_job("job", now=after(9.999))
    resume(MissedChoice.ALL, at=30)
    assert queued(31) == [after(10), after(20), after(30)]
    assert Job.objects.get().next_run_time == after(40)


@pytest.mark.parametrize("missed", [MissedChoice.LAST, MissedChoice.ALL])
def test_a_pause_without_a_fire_time_leaves_nothing_to_run(missed: MissedChoice) -> None:
    paused_job()
    assert resume(missed, at=9) is None
    assert Job.objects.get().next_run_time == after(10)


@pytest.mark.parametrize("missed", list(MissedChoice))
def test_a_job_that_is_not_paused_stays_as_it_is(missed: MissedChoice) -> None:
    make_job(next_run_time=after(10))
    assert resume(missed, at=5) is None
    assert Job.objects.get().next_run_time == after(10)


def test_a_fire_time_that_ran_by_hand_is_left_out() -> None:
    paused_job()
    make_run(scheduled_time=after(30), status=RunStatus.SUCCEEDED)
    assert resume(MissedChoice.LAST) is None


def test_a_date_that_fell_into_the_pause_runs() -> None:
    services.add_job({"id": "job", "func": "tests:echo", "trigger": "date", "run_date": after(20).isoformat()}, now=NOW)
    services.pause_job("job", now=after(5))
    resume(MissedChoice.LAST)
    assert queued(39) == [after(20)]
    assert Job.objects.get().next_run_time is None


def test_a_pause_until_an_instant_is_ended_early() -> None:
    services.add_job({"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10}, now=NOW)
    services.pause_job("job", now=after(5), until=after(100))
    resume(MissedChoice.ALL)
    assert queued(39) == [after(10), after(20), after(30)]


def test_a_pause_that_is_prolonged_begins_with_its_first_instant() -> None:
    paused_job()
    services.pause_job("job", now=after(25), until=after(100))
    resume(MissedChoice.ALL)
    assert queued(39) == [after(10), after(20), after(30)]


def test_a_second_pause_begins_anew() -> None:
    paused_job()
    resume(MissedChoice.NONE, at=22)
    services.pause_job("job", now=after(25))
    resume(MissedChoice.ALL)
    assert queued(39) == [after(30)]


def test_a_job_that_was_added_paused_is_paused_since_then() -> None:
    services.add_job({"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 10, "paused": True}, now=NOW)
    services.duplicate_job("job", "copy", now=after(15))
    assert resume(MissedChoice.ALL, at=38) is not None
    found = resume(MissedChoice.ALL, at=38, job_id="copy")
    assert found is not None
    assert (found.start, found.fire_times) == (after(25), 2)


def test_too_many_fire_times_are_refused_and_the_job_stays_paused() -> None:
    paused_job()
    with pytest.raises(InvalidRequest, match="10,000") as caught:
        resume(MissedChoice.ALL, at=10 * 10_001 + 5)
    assert list(caught.value.fields) == ["missed"]
    assert Job.objects.get().paused
    assert resume(MissedChoice.LAST, at=10 * 10_001 + 5) is not None


def test_a_job_that_could_not_run_is_not_resumed_with_fire_times() -> None:
    paused_job()
    Job.objects.update(args=[1, 2, 3])
    with pytest.raises(InvalidArguments):
        resume(MissedChoice.LAST)
    assert Job.objects.get().paused
    resume(MissedChoice.NONE)
    assert not Job.objects.get().paused


def test_the_api_takes_the_choice(api: Api) -> None:
    make_job(paused=True, paused_at=after(-35), anchor=after(-100))
    answer = api.done("POST", f"{JOB}/resume", {"missed": "all"})
    backfill = Backfill.objects.get()
    assert answer == {"id": "job", "status": "resumed", "backfill_id": backfill.pk, "runs": 4}
    assert (backfill.start, backfill.end) == (after(-30), NOW)


@pytest.mark.parametrize("body", [None, {}, {"missed": "none"}])
def test_the_api_leaves_fire_times_out_without_a_choice(api: Api, body: Any) -> None:
    make_job(paused=True, paused_at=after(-35))
    assert api.done("POST", f"{JOB}/resume", body) == {"id": "job", "status": "resumed"}
    assert not Backfill.objects.exists()


@pytest.mark.parametrize("missed", ["", "first", None, 1, ["last"]])
@pytest.mark.parametrize("path", [f"{JOB}/resume", "/scheduler/resume"])
def test_another_choice_is_refused(api: Api, path: str, missed: Any) -> None:
    make_job(paused=True)
    assert api.refused("POST", path, {"missed": missed}) == (400, "INVALID_REQUEST", {"missed"})
    assert Job.objects.get().paused


# --- all jobs ------------------------------------------------------------------------------------------------------


def resume_all(missed: MissedChoice | None, at: float = 35) -> str:
    """Resume all; return what is said about the jobs that were left out."""
    with by("alice"):
        _, left = services.resume_all(now=after(at), missed=missed)
    return left


@pytest.fixture
def all_paused() -> None:
    """A job that is due since `NOW` every ten seconds, one that is not due yet, and a pause of everything."""
    make_job()
    make_job("later", next_run_time=after(60))
    services.pause_all(now=after(-5))


def test_without_a_choice_jobs_that_fell_due_are_late(all_paused: None) -> None:
    resume_all(None)
    assert claims.claim_due("s1", CAPACITY, after(36)).jobs == 1
    assert Run.objects.get().fire_times == 4


def test_none_of_the_fire_times_of_the_pause_runs(all_paused: None) -> None:
    resume_all(MissedChoice.NONE)
    run = Run.objects.get()
    assert (run.status, run.scheduled_time, run.fire_times) == (RunStatus.SKIPPED, after(30), 4)
    assert "resumed" in run.reason
    assert dict(Job.objects.values_list("pk", "next_run_time")) == {"job": after(40), "later": after(60)}


def test_the_last_fire_time_of_each_job_runs(all_paused: None) -> None:
    resume_all(MissedChoice.LAST)
    assert queued(36) == [after(30)]
    assert Job.objects.get(pk="job").next_run_time == after(40)


def test_all_fire_times_of_each_job_run(all_paused: None) -> None:
    resume_all(MissedChoice.ALL)
    assert queued(36) == [NOW, after(10), after(20), after(30)]


def test_a_choice_without_a_pause_changes_nothing() -> None:
    make_job()
    resume_all(MissedChoice.NONE)
    assert Job.objects.get().next_run_time == NOW
    assert not Run.objects.exists()


def test_a_damaged_job_is_left_to_the_schedulers(all_paused: None) -> None:
    make_job("damaged", trigger=[])
    make_job("misfit", func="tests:echo", args=[1, 2, 3])
    resume_all(MissedChoice.ALL)
    assert Job.objects.get(pk="damaged").next_run_time == NOW
    assert Job.objects.get(pk="misfit").next_run_time == NOW
    assert Job.objects.get(pk="job").next_run_time == after(40)


SECONDLY = 10 * 10_001
"""Seconds with more than 10,000 fire times of a job that fires every ten seconds."""


def test_a_job_with_too_many_fire_times_is_left_to_its_policies_and_named(all_paused: None) -> None:
    make_job("hourly", trigger={"type": "interval", "hours": 1})
    left = resume_all(MissedChoice.ALL, at=SECONDLY + 60)
    assert left == "more than 10,000 fire times of a job fell into the pause; left to their policies: job, later"
    assert not Control.objects.get().paused
    assert Job.objects.get(pk="job").next_run_time == NOW
    assert Backfill.objects.get().job_id == "hourly"


def test_the_answer_names_the_jobs_that_were_left_to_their_policies(api: Api) -> None:
    make_jobs(12, next_run_time=after(-SECONDLY), anchor=after(-SECONDLY))
    api.call("POST", "/scheduler/pause")
    answer = api.call("POST", "/scheduler/resume", {"missed": "all"}).json()
    assert answer["status"] == "resumed"
    assert answer["message"].endswith(" and 2 more")
    assert api.call("POST", "/scheduler/resume", {"missed": "all"}).json() == {"status": "resumed"}


@pytest.mark.parametrize("missed", [MissedChoice.NONE, MissedChoice.LAST, MissedChoice.ALL])
def test_each_job_costs_few_statements(statements: Any, missed: MissedChoice) -> None:
    numbers = []
    for number in (1, 11):
        Job.objects.all().delete()
        make_jobs(number)
        services.pause_all(now=after(-5))
        with statements() as found:
            resume_all(missed)
        numbers.append(len(found))
    assert (numbers[1] - numbers[0]) / 10 <= 5


def test_many_jobs_are_resumed_at_once(statements: Any) -> None:
    make_jobs(300)
    services.pause_all(now=after(-5))
    resume_all(MissedChoice.NONE)
    assert Run.objects.filter(status=RunStatus.SKIPPED).count() == 300
    assert set(Job.objects.values_list("next_run_time", flat=True)) == {after(40)}


def test_the_api_takes_the_choice_for_all_jobs(api: Api) -> None:
    make_job()
    services.pause_all(now=after(-5))
    assert api.done("POST", "/scheduler/resume", {"missed": "none"}) == {"status": "resumed"}
    assert Job.objects.get().next_run_time == after(10)
