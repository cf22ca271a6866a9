"""Runs are kept as their jobs say: so many, so long, failures longer, and never an active one deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobs.core.runs import RunStatus
from jobs.models import Run
from jobs.scheduler import retention
from jobs.scheduler.loop import Scheduler as Loop
from jobs.scheduler.retention import Pruner, prune_job
from tests.fakes import NOW, FakeClock, after, make_job, make_run

pytestmark = pytest.mark.django_db

DAY = 86400


def days_ago(*ages: float, **fields: Any) -> None:
    """Write a run for each age in days."""
    for age in ages:
        make_run(**{"status": RunStatus.SUCCEEDED, "scheduled_time": after(-age * DAY), **fields})


def ages() -> list[float]:
    """Return the ages in days of the runs that are left."""
    found = Run.objects.order_by("-scheduled_time", "attempt").values_list("scheduled_time", flat=True)
    return [(NOW - at).total_seconds() / DAY for at in found]


def test_a_job_that_says_nothing_keeps_everything() -> None:
    make_job()
    days_ago(1, 10_000)
    assert Pruner().round(NOW) == 0
    assert len(ages()) == 2


def test_the_newest_runs_are_kept() -> None:
    job = make_job(keep_runs=2)
    days_ago(1, 2, 3, 4)
    assert prune_job(job, NOW) == 2
    assert ages() == [1, 2]


def test_fewer_runs_than_are_kept_stay() -> None:
    job = make_job(keep_runs=5)
    days_ago(1, 2)
    assert prune_job(job, NOW) == 0


def test_the_attempts_of_one_fire_time_stay_together() -> None:
    job = make_job(keep_runs=2)
    days_ago(1, 3)
    for attempt in (1, 2, 3):
        days_ago(2, attempt=attempt, status=RunStatus.FAILED)
    prune_job(job, NOW)
    assert ages() == [1, 2, 2, 2]


def test_runs_are_kept_for_so_many_days() -> None:
    job = make_job(keep_days=7)
    days_ago(1, 6.99, 7, 7.01, 30)
    assert prune_job(job, NOW) == 2
    assert ages() == [1, 6.99, 7]


def test_either_limit_is_enough() -> None:
    job = make_job(keep_runs=3, keep_days=7)
    days_ago(1, 2, 3, 4, 30)
    prune_job(job, NOW)
    assert ages() == [1, 2, 3]


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST])
def test_failures_are_kept_longer_where_the_job_says_so(status: RunStatus) -> None:
    job = make_job(keep_runs=1, keep_days=7, keep_failed_days=30)
    days_ago(1, 2, 10)
    days_ago(5, 20, 31, status=status)
    prune_job(job, NOW)
    assert ages() == [1, 5, 20]


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_an_active_run_stays_however_old(status: RunStatus) -> None:
    job = make_job(keep_runs=1, keep_days=1)
    days_ago(100, status=status)
    days_ago(50, 60)
    prune_job(job, NOW)
    assert ages() == [100]


def test_the_runs_of_other_jobs_stay() -> None:
    job = make_job(keep_days=1)
    days_ago(50, job_id="other")
    assert prune_job(job, NOW) == 0


def test_no_more_than_a_batch_is_deleted_at_once_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    job = make_job(keep_days=1)
    days_ago(2, 3, 4, 5, 6)
    assert [prune_job(job, NOW) for _ in range(4)] == [2, 2, 1, 0]


def test_the_oldest_are_deleted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    job = make_job(keep_days=1)
    days_ago(2, 4, 3)
    prune_job(job, NOW)
    assert ages() == [2]


def test_a_round_looks_at_some_jobs_and_the_next_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "JOBS", 2)
    for name in "abcde":
        make_job(name, keep_days=1)
        days_ago(5, job_id=name)
    pruner = Pruner()
    assert [pruner.round(NOW) for _ in range(3)] == [2, 2, 1]
    days_ago(5, job_id="a")
    assert pruner.round(NOW) == 1


@pytest.mark.django_db(transaction=True)
def test_a_scheduler_prunes_with_its_heartbeats(make_loop: Callable[..., Loop], clock: FakeClock) -> None:
    make_job(keep_runs=1, next_run_time=None)
    days_ago(1, 2, 3)
    loop = make_loop()
    clock.advance(5)
    loop.tick()
    assert len(ages()) == 1
