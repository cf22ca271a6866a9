"""Delete runs that are older, or more, than their jobs keep: in small batches, by the schedulers themselves."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Q, QuerySet

from jobs.core.runs import FINISHED, RunStatus
from jobs.models import Job, Run

logger = logging.getLogger(__name__)

BATCH = 1000
"""Runs deleted in one transaction at the most: others wait for it on SQLite."""
JOBS = 50
"""Jobs looked at in one round."""
FAILURES = Q(status__in=(RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST))
KEEPS_LESS = Q(keep_runs__isnull=False) | Q(keep_days__isnull=False) | Q(keep_failed_days__isnull=False)
"""The jobs that do not keep everything."""
NONE = Q(pk__in=())


class Pruner:
    """Goes through the jobs that keep less than everything, a few in each round."""

    def __init__(self) -> None:
        """Start with the first job."""
        self._after = ""

    def round(self, now: datetime) -> int:
        """Prune the next `JOBS` jobs, or as many as give a batch; return how many runs were deleted."""
        bounded = Job.objects.filter(KEEPS_LESS)
        jobs = list(bounded.filter(pk__gt=self._after).order_by("pk")[:JOBS])
        deleted = 0
        for job in jobs:
            deleted += _pruned(job, now)
            self._after = job.pk
            if deleted >= BATCH:  # a heartbeat waits for this round
                return deleted
        if len(jobs) < JOBS:
            self._after = ""
        return deleted


def _pruned(job: Job, now: datetime) -> int:
    try:
        return prune_job(job, now)
    except DatabaseError:
        raise
    except Exception:
        # One damaged row must not stop the others.
        logger.exception("job %s can not be pruned", job.pk, extra={"action": "prune_failed", "job": job.pk})
        return 0


def prune_job(job: Job, now: datetime) -> int:
    """Delete up to `BATCH` of the runs that `job` does not keep at `now`; return how many there were.

    Active runs stay. For runs that failed `keep_failed_days` is all that counts, where it is given.
    """
    finished = Run.objects.filter(job_id=job.pk, status__in=FINISHED)
    old = _older_than(job.keep_days, now) | _beyond(job.keep_runs, finished)
    if job.keep_failed_days is not None:
        old = (~FAILURES & old) | (FAILURES & _older_than(job.keep_failed_days, now))
    ids = list(finished.filter(old).order_by("scheduled_time").values_list("id", flat=True)[:BATCH])
    return Run.objects.filter(id__in=ids).delete()[0]


def _older_than(days: int | None, now: datetime) -> Q:
    return NONE if days is None else Q(scheduled_time__lt=now - timedelta(days=days))


def _beyond(count: int | None, finished: QuerySet[Run]) -> Q:
    if count is None:
        return NONE
    # The attempts of one fire time stay together, so that never less is kept than was asked for.
    times = finished.order_by("-scheduled_time").values_list("scheduled_time", flat=True)
    edge = times[count - 1 : count].first()
    return NONE if edge is None else Q(scheduled_time__lt=edge)
