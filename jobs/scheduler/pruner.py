"""Prune as the scheduler goes: a little at a time, and faster where there is more to delete."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import OuterRef, Q, Subquery

from ..core.clock import Clock
from ..definitions.policies import default_policies
from ..models import Job, Run
from .retention import BATCH, prune_job

logger = logging.getLogger("cronzimus.scheduler.pruner")

ROUND = 5.0
"""Seconds between two rounds: each looks at the next jobs."""
REST = 60.0
"""Seconds after which the jobs are gone through again, at the earliest."""
AIM = 0.02
"""Seconds that the loop prunes at a time: nothing is claimed meanwhile."""
FORGET = 3600.0
"""Seconds after which failures that are kept are read again: a run that ended late may lie among them."""
SHARE = 0.2
"""How much of the loop's time pruning takes, while there is more to delete."""
FIRST, LEAST = 200, 50
"""Runs deleted in the first transaction, and in one where that takes long."""
JOBS = 50
"""Jobs looked at in one round."""
NAMES = 200
"""Ids looked at in one round, for runs whose job was removed."""
LIMITS = ("keep_runs", "keep_days")
"""The policies without one of which a job keeps everything."""
BOUNDED = Q(keep_runs__isnull=False) | Q(keep_days__isnull=False)
"""The jobs that do not keep everything."""


class Pruner:
    """Goes through the jobs that keep less than everything, and through the runs whose job is gone.

    For the latter the limits of JOB_DEFAULTS hold. A job with more to delete than a batch has its turn again after the
    others that have.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with the first job, a round from now."""
        self._clock = clock
        self.due = self._round_at = clock.monotonic() + ROUND
        self._circles = [Circle(_bounded_jobs, JOBS), Circle(_orphans, NAMES)]
        self._waiting: dict[str, None] = {}
        self._seen: dict[str, datetime] = {}
        self._forget_at = clock.monotonic() + FORGET
        self._batch = min(FIRST, BATCH)

    def work(self) -> int:
        """Prune, if it is time: about as long as `AIM`. Return how many runs were deleted.

        `due` is the monotonic time in seconds at which there is more to do.
        """
        started = self._clock.monotonic()
        if started < self.due:
            return 0
        self.due = started + ROUND  # should the database refuse, there is more to do than to prune
        if started >= self._forget_at:
            self._forget_at = started + FORGET
            self._seen.clear()
        if started >= self._round_at:
            self._round_at = started + ROUND
            for circle in self._circles:
                self._waiting |= dict.fromkeys(circle.next(started))
        deleted = self._prune(self._clock.now(), started + AIM)
        spent = self._clock.monotonic() - started
        self.due = min(self._round_at, started + spent / SHARE) if self._waiting else self._round_at
        return deleted

    def _prune(self, now: datetime, until: float) -> int:
        deleted = 0
        # Read anew: what people have come to keep since they were found is kept.
        for job in _jobs(list(self._waiting)[:JOBS]):
            del self._waiting[job.pk]
            began, batch = self._clock.monotonic(), self._batch
            pruned = _pruned(job, now, batch, self._seen)
            ended = self._clock.monotonic()
            deleted += pruned
            self._adapt(pruned, ended - began)
            if pruned == batch:
                self._waiting[job.pk] = None
            if ended >= until:
                break
        return deleted

    def _adapt(self, pruned: int, spent: float) -> None:
        if spent > AIM and pruned:
            self._batch = max(self._batch // 2, LEAST)
        elif spent < AIM / 2 and pruned == self._batch:
            self._batch = min(self._batch * 2, BATCH)


class Circle:
    """Goes through ids in their order, some at a time, again and again."""

    def __init__(self, beyond: Any, size: int) -> None:
        """Go by `beyond(id, size)`: it returns ids in question, and the last one that it looked at (None: the end)."""
        self._beyond, self._size = beyond, size
        self._after, self._begun_at = "", float("-inf")

    def next(self, at: float) -> list[str]:
        """Return the next ids at the monotonic time `at`; none before a circle that has ended may begin again."""
        if not self._after:
            if at < self._begun_at + REST:
                return []
            self._begun_at = at
        ids, last = self._beyond(self._after, self._size)
        self._after = last or ""
        return list(ids)


def _bounded_jobs(after: str, size: int) -> tuple[list[str], str | None]:
    ids = list(Job.objects.filter(BOUNDED, pk__gt=after).order_by("pk").values_list("pk", flat=True)[:size])
    return ids, ids[-1] if len(ids) == size else None


def _orphans(after: str, size: int) -> tuple[list[str], str | None]:
    if not _site_limits():
        return [], None
    with connection.cursor() as cursor:
        cursor.execute(ORPHANS, [after, size])
        rows = cursor.fetchall()
    return [job_id for job_id, known in rows if not known], rows[-1][0] if len(rows) == size else None


# From one job's runs to the next one's, each step a look-up in `run_once`: there are many more runs than jobs.
ORPHANS = (
    "WITH RECURSIVE names(job_id) AS (SELECT min(job_id) FROM cronzimus_run WHERE job_id > %s UNION ALL "
    "SELECT (SELECT min(job_id) FROM cronzimus_run WHERE cronzimus_run.job_id > names.job_id) FROM names "
    "WHERE names.job_id IS NOT NULL) "
    "SELECT job_id, EXISTS (SELECT 1 FROM cronzimus_job WHERE id = job_id) FROM names WHERE job_id IS NOT NULL LIMIT %s"
)
"""The next ids that runs have, and whether each is that of a job."""


def _site_limits() -> dict[str, Any]:
    defaults = default_policies()
    if all(defaults[name] is None for name in LIMITS):
        return {}
    return {name: defaults[name] for name in (*LIMITS, "keep_failed_days")}


def _jobs(ids: Sequence[str]) -> Iterator[Job]:
    """Yield the jobs `ids`, each with when its oldest run was scheduled; for one that is gone, one of JOB_DEFAULTS."""
    oldest = Run.objects.filter(job_id=OuterRef("pk")).order_by("scheduled_time").values("scheduled_time")[:1]
    jobs = Job.objects.filter(pk__in=ids).only(*LIMITS, "keep_failed_days").annotate(oldest=Subquery(oldest))
    known = {job.pk: job for job in jobs}
    for job_id in ids:
        yield known.get(job_id) or Job(id=job_id, **_site_limits())


def _pruned(job: Job, now: datetime, most: int, seen: dict[str, datetime]) -> int:
    try:
        return prune_job(job, now, most, vars(job).get("oldest"), seen)
    except DatabaseError:
        raise
    except Exception:
        # One damaged row must not stop the others.
        logger.exception("job %s can not be pruned", job.pk, extra={"action": "prune_failed", "job": job.pk})
        return 0
