"""A due fire time that a person removes before a scheduler claims it gets a skipped run with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs import services
from jobs.core.runs import RunStatus, RunTrigger
from jobs.models import Job, Run
from jobs.scheduler.store import claims
from tests.fakes import NOW, after, make_job, make_run

pytestmark = pytest.mark.django_db

WISHES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "pause": (
        lambda now: services.pause_job("job", now=now),
        "its job was paused before a scheduler claimed it",
    ),
    "pause until": (
        lambda now: services.pause_job("job", now=now, until=after(600)),
        "its job was paused before a scheduler claimed it",
    ),
    "new trigger": (
        lambda now: services.update_job("job", {"seconds": 7}, now=now),
        "its job was given another trigger before a scheduler claimed it",
    ),
    "remove": (
        lambda now: services.remove_job("job", now=now),
        "its job was removed before a scheduler claimed it",
    ),
}


@pytest.mark.parametrize(("wish", "reason"), WISHES.values(), ids=WISHES)
def test_a_fire_time_that_was_due_is_skipped_with_the_reason(wish: Callable[[Any], Any], reason: str) -> None:
    make_job(args=[1])
    wish(after(1))
    run = Run.objects.get()
    assert (run.job_id, run.status, run.reason) == ("job", RunStatus.SKIPPED, reason)
    assert (run.scheduled_time, run.finished_at, run.fire_times) == (NOW, after(1), 1)
    assert (run.trigger, run.func, run.args) == (RunTrigger.SCHEDULE, "tests:record", [1])


@pytest.mark.parametrize(("wish", "reason"), WISHES.values(), ids=WISHES)
def test_several_that_were_due_are_one_row_with_their_number(wish: Callable[[Any], Any], reason: str) -> None:
    make_job()
    wish(after(35))
    run = Run.objects.get()
    assert (run.scheduled_time, run.fire_times, run.reason) == (after(30), 4, reason)


@pytest.mark.parametrize(("wish", "reason"), WISHES.values(), ids=WISHES)
def test_one_that_falls_due_at_that_very_instant_is_skipped_too(wish: Callable[[Any], Any], reason: str) -> None:
    make_job()
    wish(NOW)
    assert [(run.scheduled_time, run.reason) for run in Run.objects.all()] == [(NOW, reason)]


@pytest.mark.parametrize(("wish", "reason"), WISHES.values(), ids=WISHES)
def test_one_that_is_still_to_come_leaves_no_row(wish: Callable[[Any], Any], reason: str) -> None:
    make_job()
    wish(after(-1))
    assert not Run.objects.exists()


@pytest.mark.parametrize(("wish", "reason"), WISHES.values(), ids=WISHES)
def test_one_that_a_scheduler_has_claimed_is_left_to_it(wish: Callable[[Any], Any], reason: str) -> None:
    make_job()
    claims.claim_due("s1", {"thread": 5}, NOW)
    wish(after(1))
    assert Run.objects.get().status == RunStatus.QUEUED


@pytest.mark.parametrize("name", ["pause", "remove", "new trigger"])
def test_a_damaged_job_leaves_a_row_for_the_fire_time_that_is_known(name: str) -> None:
    make_job(trigger=[])
    wish, reason = WISHES[name]
    wish(after(35)) if name != "new trigger" else services.update_job(
        "job", {"trigger": {"type": "interval", "seconds": 7}}, now=after(35)
    )
    run = Run.objects.get()
    assert (run.scheduled_time, run.fire_times, run.reason) == (NOW, 1, reason)


def test_a_pause_that_is_repeated_leaves_one_row() -> None:
    make_job()
    services.pause_job("job", now=after(1))
    services.pause_job("job", now=after(50))
    assert Run.objects.count() == 1


def test_what_falls_into_a_pause_until_an_instant_leaves_no_row() -> None:
    make_job()
    services.pause_job("job", now=after(-1), until=after(15))
    services.pause_job("job", now=after(5))
    assert not Run.objects.exists()


def test_a_fire_time_that_the_new_trigger_names_too_is_left_to_it() -> None:
    make_job(trigger={"type": "date", "run_date": NOW.isoformat()}, misfire_grace_time=60)
    same = {"type": "date", "run_date": "2030-01-01T13:00:00+01:00"}
    services.update_job("job", {"trigger": same}, now=after(5))
    assert Job.objects.get().next_run_time == NOW
    assert not Run.objects.exists()
    assert [run.scheduled_time for run in claims.claim_due("s1", {"thread": 5}, after(6)).runs] == [NOW]


def test_a_fire_time_that_is_on_record_already_stays_as_it_is() -> None:
    make_job()
    make_run(status=RunStatus.SUCCEEDED)  # of a job of this name that was removed
    services.pause_job("job", now=after(1))
    assert Run.objects.get().status == RunStatus.SUCCEEDED


def test_one_that_the_trigger_does_not_name_any_more_is_skipped_at_its_own_instant() -> None:
    make_job(next_run_time=after(3))  # another TIME_ZONE moves a trigger's fire times
    services.remove_job("job", now=after(4))
    assert Run.objects.get().scheduled_time == after(3)
