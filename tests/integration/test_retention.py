"""Jobs keep their runs up to a number or an age; failures can be kept longer; active runs are never deleted."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from jobs.core.runs import RunStatus
from jobs.models import Backfill, Run
from jobs.scheduler.store.retention import prune_job
from tests.fakes import NOW, after, make_job, make_run

from .conftest import in_thread

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


def test_a_job_without_limits_keeps_all_runs() -> None:
    job = make_job(keep_days=None)
    days_ago(1, 10_000)
    assert prune_job(job, NOW).deleted == 0
    assert len(ages()) == 2


def test_a_job_that_says_nothing_keeps_its_runs_for_90_days() -> None:
    job = make_job()
    days_ago(89, 91)
    assert prune_job(job, NOW).deleted == 1
    assert ages() == [89]


def test_the_newest_runs_are_kept() -> None:
    job = make_job(keep_runs=2)
    days_ago(1, 2, 3, 4)
    assert prune_job(job, NOW).deleted == 2
    assert ages() == [1, 2]


def test_fewer_runs_than_the_limit_stay() -> None:
    job = make_job(keep_runs=5)
    days_ago(1, 2)
    assert prune_job(job, NOW).deleted == 0


def test_the_attempts_of_one_fire_time_stay_together() -> None:
    job = make_job(keep_runs=2)
    days_ago(1, 3)
    for attempt in (1, 2, 3):
        days_ago(2, attempt=attempt, status=RunStatus.FAILED)
    prune_job(job, NOW)
    assert ages() == [1, 2, 2, 2]


def test_runs_are_kept_for_a_number_of_days() -> None:
    job = make_job(keep_days=7)
    days_ago(1, 6.99, 7, 7.01, 30)
    assert prune_job(job, NOW).deleted == 2
    assert ages() == [1, 6.99, 7]


@pytest.mark.parametrize(
    ("limits", "left"),
    [({"keep_days": 30}, [400, 500]), ({"keep_runs": 1, "keep_days": 30}, [0.5, 400, 500]),
     ({"keep_runs": 1, "keep_days": None}, [0.5, 400])],
)  # fmt: skip
def test_the_age_of_a_backfills_run_counts_from_when_it_was_queued(limits: dict[str, Any], left: list[float]) -> None:
    job = make_job(**limits)
    backfill = Backfill.objects.create(
        job=job, start=NOW, end=NOW, only_missing=True, max_active=1, created_at=NOW, fire_times=1
    )
    if "keep_runs" in limits:
        days_ago(0.5)
    for age, queued in ((400, 1), (500, 20), (600, 31)):
        days_ago(age, backfill=backfill, queued_at=after(-queued * DAY))
    prune_job(job, NOW)
    assert ages() == left


def test_either_limit_is_enough() -> None:
    job = make_job(keep_runs=3, keep_days=7)
    days_ago(1, 2, 3, 4, 30)
    prune_job(job, NOW)
    assert ages() == [1, 2, 3]


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST])
def test_failures_can_be_kept_longer(status: RunStatus) -> None:
    job = make_job(keep_runs=1, keep_days=7, keep_failed_days=30)
    days_ago(1, 2, 10)
    days_ago(5, 20, 31, status=status)
    prune_job(job, NOW)
    assert ages() == [1, 5, 20]


def test_failures_can_be_kept_for_a_shorter_time() -> None:
    job = make_job(keep_days=30, keep_failed_days=7)
    days_ago(1, 20, 31)
    days_ago(5, 10, 40, status=RunStatus.FAILED)
    days_ago(11, status=RunStatus.CANCELLED)
    assert [prune_job(job, NOW).deleted, ages()] == [3, [1, 5, 11, 20]]


def test_a_batch_counts_failures_and_other_runs_together() -> None:
    job = make_job(keep_days=7, keep_failed_days=30)
    days_ago(10, 40, 50)
    days_ago(20, 60, status=RunStatus.FAILED)
    assert [prune_job(job, NOW, 2) for _ in range(3)] == [(2, None), (2, None), (0, after(-7 * DAY))]
    assert ages() == [20]


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING])
def test_an_active_run_stays_whatever_its_age(status: RunStatus) -> None:
    job = make_job(keep_runs=1, keep_days=1)
    days_ago(100, status=status)
    days_ago(50, 60)
    prune_job(job, NOW)
    assert ages() == [100]


def test_the_runs_of_other_jobs_stay() -> None:
    job = make_job(keep_days=1)
    days_ago(50, job_id="other")
    assert prune_job(job, NOW).deleted == 0


def test_a_limit_for_failures_alone_deletes_nothing() -> None:
    job = make_job(keep_days=None, keep_failed_days=1)
    days_ago(2)
    days_ago(3, status=RunStatus.FAILED)
    assert prune_job(job, NOW).deleted == 0


def test_active_runs_do_not_count_towards_the_limit() -> None:
    job = make_job(keep_runs=2)
    days_ago(1, 2, status=RunStatus.RUNNING)
    days_ago(3, 4, 5)
    prune_job(job, NOW)
    assert ages() == [1, 2, 3, 4]


def test_a_batch_deletes_the_oldest_runs() -> None:
    job = make_job(keep_days=1)
    days_ago(2, 4, 3, 5, 6)
    assert [prune_job(job, NOW, 2).deleted, ages()] == [2, [2, 3, 4]]
    assert [prune_job(job, NOW, 2).deleted for _ in range(3)] == [2, 1, 0]


def test_a_job_whose_oldest_run_is_kept_needs_no_query(statements: Any) -> None:
    job = make_job(keep_days=7)
    with statements() as found:
        assert prune_job(job, NOW, oldest=after(-7 * DAY)).deleted == 0
    assert found == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("postgresql_only")
def test_runs_that_another_scheduler_is_deleting_are_left_to_it() -> None:
    job = make_job(keep_days=1)
    days_ago(2, 3)
    with transaction.atomic():
        list(Run.objects.filter(scheduled_time=after(-3 * DAY)).select_for_update())
        assert in_thread(lambda: prune_job(job, NOW))().deleted == 1
    assert ages() == [3]
