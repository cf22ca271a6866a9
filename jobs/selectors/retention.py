"""The runs that a job would not keep with other limits, for those who set the limits."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet

from ..core.runs import FAILURES, FINISHED
from ..models import Run

MAX_COUNTED = 10_000
"""Counts stop here."""


def freed_runs(
    job_id: str, now: datetime, *, keep_runs: int | None, keep_days: int | None, keep_failed_days: int | None
) -> int:
    """Return how many runs of a job these limits delete at `now`, at most `MAX_COUNTED` + 1 (index `run_once`).

    It follows the rules of the pruner, except that it counts runs of a backfill like others.
    """
    runs = Run.objects.filter(job_id=job_id)
    cutoffs = [] if keep_days is None else [now - timedelta(days=keep_days)]
    if keep_runs is not None:
        newest = runs.order_by("-scheduled_time", "-attempt").values_list("scheduled_time", flat=True)
        cutoffs += newest[keep_runs - 1 : keep_runs]
    if not cutoffs:
        return 0
    cutoff = max(cutoffs)
    ended = runs.filter(status__in=FINISHED)
    if keep_failed_days is None:
        return _count(ended.filter(scheduled_time__lt=cutoff))
    others = _count(ended.exclude(status__in=FAILURES).filter(scheduled_time__lt=cutoff))
    failed_cutoff = now - timedelta(days=keep_failed_days)
    return others + _count(ended.filter(status__in=FAILURES, scheduled_time__lt=failed_cutoff))


def _count(runs: QuerySet[Run]) -> int:
    return runs.order_by().values("pk")[: MAX_COUNTED + 1].count()
