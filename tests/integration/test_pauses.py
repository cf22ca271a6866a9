"""A job can be paused until an instant, and its next fire time left out."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import services
from jobs.core.audit import Origin, acting
from jobs.core.exceptions import InvalidRequest, JobNotFound
from jobs.core.runs import RunStatus, RunTrigger
from jobs.models import Job, Run
from jobs.scheduler.store import claims
from tests.fakes import NOW, after, by, make_job, make_run

pytestmark = pytest.mark.django_db


def stored() -> Job:
    return Job.objects.get()


def fired(now: Any) -> list[Any]:
    return [run.scheduled_time for run in claims.claim_due("s1", {"thread": 5}, now).runs]


# --- who paused it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pause",
    [
        lambda: services.pause_job("job", now=NOW),
        lambda: services.pause_job("job", now=NOW, until=after(60)),
        lambda: services.update_job("job", {"paused": True}, now=NOW),
    ],
    ids=["pause", "pause until", "as a field"],
)
def test_a_job_names_who_paused_it_until_it_is_resumed(pause: Any) -> None:
    make_job()
    with acting(Origin(actor="anna")):
        pause()
    assert (stored().paused_by, stored().paused_at) == ("anna", NOW)
    services.resume_job("job", now=NOW)
    assert (stored().paused_by, stored().paused_at) == ("", None)


def test_a_job_that_is_added_paused_names_who_added_it() -> None:
    body = {"id": "job", "func": "tests:echo", "trigger": "interval", "hours": 1, "paused": True}
    with acting(Origin(actor="anna")):
        services.add_job(body, now=NOW)
    assert (stored().paused_by, stored().paused_at) == ("anna", NOW)


def test_who_pauses_a_paused_job_is_not_named() -> None:
    make_job()
    for name in ("anna", "ben"):
        with acting(Origin(actor=name)):
            services.pause_job("job", now=NOW)
    assert stored().paused_by == "anna"


# --- pause until -----------------------------------------------------------------------------------------------------


def test_a_job_that_is_paused_until_an_instant_fires_after_it_by_itself() -> None:
    make_job(next_run_time=after(10))
    services.pause_job("job", now=after(1), until=after(65))
    assert fired(after(69)) == []
    assert fired(after(70)) == [after(70)]
    assert Run.objects.get().fire_times == 1


def test_the_instant_itself_is_in_the_pause() -> None:
    make_job()
    assert services.pause_job("job", now=after(1), until=after(60)).next_run_time == after(70)


@pytest.mark.parametrize("seconds", [0, 1])
def test_an_instant_that_is_not_to_come_is_refused(seconds: float) -> None:
    make_job()
    with pytest.raises(InvalidRequest) as caught:
        services.pause_job("job", now=after(1), until=after(seconds))
    assert caught.value.fields == {"until": "lies in the past"}
    assert stored().next_run_time == NOW


def test_a_job_can_be_resumed_before_the_instant() -> None:
    make_job()
    services.pause_job("job", now=after(1), until=after(1000))
    job = services.resume_job("job", now=after(5))
    assert (job.paused_until, job.next_run_time) == (None, after(10))


def test_the_last_instant_counts() -> None:
    make_job()
    services.pause_job("job", now=after(1), until=after(1000))
    services.pause_job("job", now=after(2), until=after(15))
    assert stored().next_run_time == after(20)


def test_a_pause_for_good_ends_the_one_until_an_instant() -> None:
    make_job()
    services.pause_job("job", now=after(1), until=after(15))
    services.pause_job("job", now=after(2))
    job = stored()
    assert (job.paused, job.paused_until, job.next_run_time) == (True, None, None)


def test_resuming_after_the_instant_leaves_the_schedule_alone() -> None:
    make_job()
    services.pause_job("job", now=after(1), until=after(15))
    services.resume_job("job", now=after(55))
    assert stored().next_run_time == after(20)


def test_a_new_trigger_waits_for_the_instant_too() -> None:
    make_job()
    services.pause_job("job", now=after(1), until=after(100))
    services.update_job("job", {"seconds": 7}, now=after(2))
    assert stored().next_run_time == after(2 + 7 * 15)


def test_a_date_in_the_pause_does_not_fire() -> None:
    make_job(trigger={"type": "date", "run_date": after(10).isoformat()}, next_run_time=after(10))
    assert services.pause_job("job", now=after(1), until=after(20)).next_run_time is None


# --- skip the next ---------------------------------------------------------------------------------------------------


def test_the_next_fire_time_is_left_out_and_that_is_on_record() -> None:
    make_job(args=[1])
    with by("ann"):
        job = services.skip_next("job", now=after(-5))
    run = Run.objects.get()
    assert job.next_run_time == stored().next_run_time == after(10)
    assert (run.status, run.scheduled_time, run.finished_at) == (RunStatus.SKIPPED, NOW, after(-5))
    assert (run.reason, run.actor, run.trigger, run.args) == ("left out by ann", "ann", RunTrigger.SCHEDULE, [1])


def test_two_can_be_left_out() -> None:
    make_job()
    services.skip_next("job", now=after(-5))
    assert services.skip_next("job", now=after(-5)).next_run_time == after(20)
    assert fired(after(19)) == []
    assert fired(after(20)) == [after(20)]


def test_the_only_fire_time_can_be_left_out() -> None:
    make_job(trigger={"type": "date", "run_date": NOW.isoformat()})
    assert services.skip_next("job", now=after(-5)).next_run_time is None


@pytest.mark.parametrize("fields", [{"paused": True}, {"next_run_time": None}], ids=["paused", "completed"])
def test_a_job_without_a_fire_time_to_come_has_none_to_leave_out(fields: dict[str, Any]) -> None:
    make_job(**fields)
    with pytest.raises(InvalidRequest, match="job 'job' has no fire time to come"):
        services.skip_next("job", now=NOW)
    assert not Run.objects.exists()


def test_the_next_fire_time_of_an_unknown_job_can_not_be_left_out() -> None:
    with pytest.raises(JobNotFound):
        services.skip_next("nobody", now=NOW)


def test_a_fire_time_that_has_a_run_already_is_left_out_all_the_same() -> None:
    make_job()
    make_run(status=RunStatus.SUCCEEDED)  # of a job of this name that was removed
    assert services.skip_next("job", now=after(-5)).next_run_time == after(10)
    assert Run.objects.get().status == RunStatus.SUCCEEDED


@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "by itself"])
def test_what_was_left_out_stays_so_over_a_pause_and_costs_no_run_of_max_runs(resume: bool) -> None:
    make_job(next_run_time=after(10), max_runs=1)
    services.skip_next("job", now=after(1))
    services.pause_job("job", now=after(2), until=after(5))
    if resume:
        services.resume_job("job", now=after(3))
    assert stored().next_run_time == after(20)
    assert fired(after(20)) == [after(20)]
    assert (stored().claimed_count, stored().next_run_time) == (1, None)


def test_what_was_left_out_stays_so_with_a_trigger_that_names_it_too() -> None:
    make_job(trigger={"type": "cron", "second": "*/10"}, next_run_time=after(10))
    services.skip_next("job", now=after(1))
    assert services.update_job("job", {"second": "*/5"}, now=after(6)).next_run_time == after(15)


def test_a_job_that_may_have_more_runs_waits_for_the_end_of_its_pause() -> None:
    make_job(next_run_time=None, max_runs=1, claimed_count=1)
    services.pause_job("job", now=after(1), until=after(65))
    assert services.update_job("job", {"max_runs": 2}, now=after(2)).next_run_time == after(70)
