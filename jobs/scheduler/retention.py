"""Which runs a job keeps, and the deletion of some of the others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from jobs.core.runs import FINISHED, RunStatus
from jobs.models import Job, Run

BATCH = 1000
"""Runs deleted in one transaction at the most: others wait for it on SQLite."""
FAILURES = Q(status__in=(RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST))


def prune_job(job: Job, now: datetime, most: int = BATCH, oldest: datetime | None = None) -> int:
    """Delete up to `most` of the runs that `job` does not keep at `now`, the oldest; return how many there were.

    Active runs stay. For runs that failed `keep_failed_days` is all that counts, if it is given beside another limit.
    `oldest` is when the job's oldest run was scheduled, where that is known: mostly there is nothing more to ask then.
    """
    edge = max((found for found in (_by_age(job.keep_days, now), _by_count(job)) if found), default=None)
    if edge is None:
        return 0
    failed_edge = edge if job.keep_failed_days is None else now - timedelta(days=job.keep_failed_days)
    last = max(edge, failed_edge)
    if oldest is not None and oldest >= last:
        return 0
    # The first condition is the range of `run_once` that is read.
    old = Run.objects.filter(job_id=job.pk, scheduled_time__lt=last, status__in=FINISHED)
    if edge != failed_edge:
        usual = ~FAILURES & Q(scheduled_time__lt=edge)
        old = old.filter(usual | (FAILURES & Q(scheduled_time__lt=failed_edge)))
    return _delete(old.order_by("scheduled_time"), most)


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
