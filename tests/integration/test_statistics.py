"""Statistics: each run is counted once, however late it ends, and before it is pruned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from jobs.models import RollUp, Run, RunHour, RunTotal, SiteHour, SiteTotal, Uncounted
from jobs.scheduler.store.statistics import BEHIND, prunable, roll_up
from tests.fakes import NOW, make_job

pytestmark = pytest.mark.django_db


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def make(seconds: float = 0, *, job: str = "a", status: str = "succeeded", delay: float = 0.2, took: float = 2) -> Run:
    ended = status not in ("queued", "running")
    return Run.objects.create(
        job_id=job, func="f", status=status, trigger="schedule", scheduled_time=at(seconds),
        started_at=at(seconds + delay) if status != "queued" else None,
        finished_at=at(seconds + delay + took) if ended else None,
    )  # fmt: skip


def count_all(seconds: float) -> None:
    """Count all runs: they are seen first, and counted after a while."""
    for step in range(3):
        while roll_up(at(seconds) + (step + 1) * BEHIND):
            pass


def counts() -> dict[tuple[str, str], int]:
    return {(one.job_id, one.status): one.count for one in RunTotal.objects.all()}


def test_runs_are_counted_by_job_and_status() -> None:
    for status in ("succeeded", "succeeded", "failed"):
        make(len(status) + Run.objects.count(), status=status)
    make(job="b", status="skipped")
    count_all(60)
    assert counts() == {("a", "succeeded"): 2, ("a", "failed"): 1, ("b", "skipped"): 1}


def test_each_run_is_counted_once() -> None:
    make()
    count_all(60)
    count_all(600)
    assert counts() == {("a", "succeeded"): 1}


def test_a_run_that_ends_later_is_counted_then() -> None:
    run = make(status="running")
    count_all(60)
    assert (counts(), Uncounted.objects.count()) == ({}, 1)
    Run.objects.filter(pk=run.pk).update(status="failed", finished_at=at(100))
    count_all(600)
    assert (counts(), Uncounted.objects.count()) == ({("a", "failed"): 1}, 0)


def test_a_run_that_is_written_late_for_an_old_fire_time_is_counted() -> None:
    make(3600)
    count_all(7200)
    make(0, status="missed")
    count_all(9000)
    assert counts() == {("a", "succeeded"): 1, ("a", "missed"): 1}


def test_counts_stay_when_runs_are_pruned() -> None:
    make()
    count_all(60)
    prunable(Run.objects.all()).delete()
    count_all(600)
    assert counts() == {("a", "succeeded"): 1}


def test_a_run_that_is_not_counted_yet_is_not_pruned() -> None:
    make()
    count_all(60)
    later = make(100)
    waiting = make(200, status="running")
    count_all(300)
    Run.objects.filter(pk=waiting.pk).update(status="succeeded", finished_at=at(400))
    newest = make(500)
    kept = Run.objects.exclude(pk__in=prunable(Run.objects.all()).values("pk"))
    assert set(kept.values_list("pk", flat=True)) == {waiting.pk, newest.pk}
    assert later.pk not in {waiting.pk, newest.pk}


def test_everything_may_be_pruned_where_nothing_was_ever_counted() -> None:
    make()
    assert prunable(Run.objects.all()).count() == 1


def test_a_run_is_not_counted_before_it_was_seen_for_a_while() -> None:
    roll_up(at(0))
    make()
    roll_up(at(1))
    assert counts() == {}


def test_durations_and_delays_are_added_up() -> None:
    make(0, delay=0.2, took=2)
    make(1, delay=10, took=0.05)
    count_all(60)
    total = SiteTotal.objects.get()
    assert total.seconds == pytest.approx(2.05)
    assert total.delay_seconds == pytest.approx(10.2)
    assert total.durations == [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert total.delays == [0, 0, 1, 0, 0, 1, 0, 0, 0]


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    make(0, delay=0.05, took=0.1)
    make(1, delay=0.050001, took=3600)
    make(2, delay=301, took=3600.5)
    count_all(60)
    total = SiteTotal.objects.get()
    assert (total.durations[0], total.durations[-2], total.durations[-1]) == (1, 1, 1)
    assert (total.delays[0], total.delays[1], total.delays[-1]) == (1, 1, 1)


def test_a_clock_that_was_set_back_makes_no_duration_negative() -> None:
    make(0, delay=-5, took=-3)
    count_all(60)
    total = SiteTotal.objects.get()
    assert (total.seconds, total.delay_seconds) == (0, 0)
    assert (total.durations[0], total.delays[0]) == (1, 1)


def test_the_last_run_of_a_status_is_the_one_that_ended_last() -> None:
    make(100)
    count_all(200)
    make(0)
    count_all(400)
    assert RunTotal.objects.get().last_at == at(102.2)


def test_the_site_has_what_its_jobs_have_together() -> None:
    for job in ("a", "b"):
        make(job=job)
        make(5, job=job, status="failed")
    count_all(60)
    make(100, job="c")
    count_all(200)
    assert {one.status: one.count for one in SiteTotal.objects.all()} == {"succeeded": 3, "failed": 2}


def test_the_hours_of_the_site_count_fire_times_too() -> None:
    start = NOW.replace(minute=0, second=0, microsecond=0)
    run = make((start - NOW).total_seconds() + 60, status="skipped")
    Run.objects.filter(pk=run.pk).update(fire_times=7)
    count_all(7200)
    assert list(SiteHour.objects.values_list("hour", "status", "count", "fire_times")) == [(start, "skipped", 1, 7)]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL stores no damaged value")
def test_damaged_runs_are_counted_as_far_as_they_can_be() -> None:
    for seconds, column, value in (
        (0, "started_at", "no time"), (1, "scheduled_time", 5), (2, "finished_at", "2029-02-31 25:00:00"),
        (3, "status", "x"),
    ):  # fmt: skip
        run = make(seconds, job=column)
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = 1")
            cursor.execute(f"UPDATE cronzimus_run SET {column} = %s WHERE id = %s", [value, run.pk])  # noqa: S608
            cursor.execute("PRAGMA ignore_check_constraints = 0")
    make(4, job="whole")
    count_all(60)
    names = ("started_at", "scheduled_time", "finished_at", "whole")
    assert counts() == {(name, "succeeded"): 1 for name in names}
    total = SiteTotal.objects.get()
    assert (total.count, sum(total.durations)) == (4, 2)
    assert total.seconds == pytest.approx(4)


def test_a_step_asks_as_much_however_many_jobs_there_are(statements: Any) -> None:
    asked = []
    for number in (1, 50):
        for job in range(number):
            make(number, job=f"job-{job}")
        roll_up(at(60 * number))
        with statements() as found:
            roll_up(at(60 * number) + BEHIND)
        asked.append(len(found))
    assert asked[0] == asked[1]


def test_hours_have_the_runs_of_their_fire_times() -> None:
    start = NOW.replace(minute=0, second=0, microsecond=0)
    for minutes in (1, 59, 61):
        make((start - NOW).total_seconds() + minutes * 60)
    count_all(7200)
    hours = RunHour.objects.order_by("hour").values_list("hour", "count")
    assert list(hours) == [(start, 2), (start + timedelta(hours=1), 1)]


def test_the_totals_of_removed_jobs_are_forgotten_with_their_hours() -> None:
    make_job("b")
    for job in ("a", "b"):
        make(job=job)
    count_all(60)
    count_all(99 * 86400)
    assert len(counts()) == 2
    count_all(101 * 86400)
    assert counts() == {("b", "succeeded"): 1}
    assert SiteTotal.objects.get().count == 2


def test_hours_are_forgotten_after_a_while_and_totals_are_not() -> None:
    make_job("a")
    make()
    count_all(60)
    count_all(101 * 86400)
    assert not RunHour.objects.exists()
    assert not SiteHour.objects.exists()
    assert counts() == {("a", "succeeded"): 1}


def test_a_long_past_is_counted_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.scheduler.store.statistics.MOST_RUNS", 3)
    for number in range(10):
        make(number)
    roll_up(at(60))
    assert roll_up(at(91)) is True
    count_all(200)
    assert RunTotal.objects.aggregate(all=Sum("count"))["all"] == 10


def test_a_run_without_a_start_has_no_duration() -> None:
    Run.objects.create(
        job_id="a", func="f", status="missed", trigger="schedule", scheduled_time=at(0), finished_at=at(50)
    )
    count_all(60)
    total = SiteTotal.objects.get()
    assert (total.count, sum(total.durations), total.seconds) == (1, 0, 0)


def test_there_is_one_row_that_says_how_far_it_is(statements: Any) -> None:
    count_all(0)
    count_all(100)
    assert RollUp.objects.count() == 1
