"""Which runs a job keeps, and the deletion of some of the others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import QuerySet

from ..core.runs import FINISHED, RunStatus
from ..models import Job, Run

BATCH = 1000
"""Runs deleted in one transaction at the most: others wait for it on SQLite."""
FAILURES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)
"""What `keep_failed_days` is about."""
OTHERS = tuple(status for status in FINISHED if status not in FAILURES)
"""What only `keep_runs` and `keep_days` are about."""


def prune_job(
    job: Job, now: datetime, most: int = BATCH, oldest: datetime | None = None, seen: dict[str, datetime] | None = None
) -> int:
    """Delete up to `most` of the runs that `job` does not keep at `now`, the oldest; return how many there were.

    Active runs stay. For runs that failed `keep_failed_days` is all that counts, if it is given beside another limit.
    `oldest` is when the job's oldest run was scheduled, where that is known: mostly there is nothing more to ask then.
    `seen` has, by job, before when only failures were left the last time, and is brought up to date: those that are
    kept are not read again and again.
    """
    edge = max((found for found in (_by_age(job.keep_days, now), _by_count(job)) if found), default=None)
    if edge is None:
        return 0
    failed_edge = edge if job.keep_failed_days is None else now - timedelta(days=job.keep_failed_days)
    if oldest is not None and oldest >= max(edge, failed_edge):
        return 0
    # By the whole of `run_once`: ordered by time alone, PostgreSQL may read the runs of all jobs off `run_newest`.
    runs = Run.objects.filter(job_id=job.pk).order_by("scheduled_time", "attempt")
    deleted = _delete(runs.filter(scheduled_time__lt=min(edge, failed_edge), status__in=FINISHED), most)
    if edge < failed_edge:
        failures = runs.unsuccessful().filter(status__in=FAILURES).order_by("scheduled_time", "id")
        deleted += _delete(failures.filter(scheduled_time__gte=edge, scheduled_time__lt=failed_edge), most - deleted)
    elif edge > failed_edge:
        begin = max(failed_edge, seen.get(job.pk, failed_edge)) if seen else failed_edge
        others = runs.filter(scheduled_time__gte=begin, scheduled_time__lt=edge, status__in=OTHERS)
        deleted += _delete(others, most - deleted)
        if seen is not None and deleted < most:
            seen[job.pk] = edge
    return deleted


def _delete(runs: QuerySet[Run], most: int) -> int:
    if not connection.features.has_select_for_update_skip_locked:
        return _delete_all(runs.values_list("id", flat=True)[:most])
    with transaction.atomic():
        # What another scheduler is deleting is not waited for.
        return _delete_all(runs.select_for_update(skip_locked=True).values_list("id", flat=True)[:most])


def _delete_all(found: Iterable[int]) -> int:
    ids = list(found)
    return Run.objects.filter(id__in=ids).delete()[0] if ids else 0


def _by_age(days: int | None, now: datetime) -> datetime | None:
    return None if days is None else now - timedelta(days=days)


def _by_count(job: Job) -> datetime | None:
    if job.keep_runs is None:
        return None
    # Read off `run_once` alone. What is active does not count; the attempts of one fire time stay together, so that
    # never less is kept than was asked for.
    runs = Run.objects.filter(job_id=job.pk)
    place = job.keep_runs - 1 + runs.active().count()
    return runs.order_by("-scheduled_time").values_list("scheduled_time", flat=True)[place : place + 1].first()
