"""Delete old runs while the scheduler works: a few at a time, and faster while there are more to delete."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import Error

from ..core.clock import Clock
from ..models import Job
from .store.records import prune_records
from .store.retention import MAX_BATCH, Page, jobs_with_oldest_run, limited_jobs, prune_job, removed_jobs

logger = logging.getLogger("cronzimus.scheduler.pruner")

ROUND_SECONDS = 5.0
"""Time between two rounds, each of which handles the next jobs."""
REST_SECONDS = 60.0
"""Least time between two passes through all jobs."""
SLICE_SECONDS = 0.02
"""Time that one call may take, in which the loop claims nothing."""
RESCAN_SECONDS = 3600.0
"""Time after which the failures that a job keeps are read again: a run that ended late may lie among them."""
TIME_SHARE = 0.2
"""Share of the loop's time that pruning takes while there is more to delete."""
FIRST_BATCH = 200
"""Runs deleted in the first transaction."""
MIN_BATCH = 50
"""Runs deleted in one transaction if deleting is slow."""
JOBS_PER_ROUND = 50
"""Jobs of one round."""
RECORDS_SECONDS = 600.0
"""Time between two prunings of the audit, the versions of removed jobs, incidents and messages."""
IDS_PER_ROUND = 200
"""Job ids that one round reads from the runs, to find runs whose job was removed."""


class Pruner:
    """Deletes the runs that jobs no longer keep, and runs of removed jobs, by the limits of JOB_DEFAULTS.

    A job that has more to delete than one batch gets its next turn after the other waiting jobs.
    """

    def __init__(self, clock: Clock) -> None:
        """Start with the first job, one round from now."""
        self._clock = clock
        self.due = self._round_at = clock.monotonic() + ROUND_SECONDS
        self._sources = [RoundRobin(limited_jobs, JOBS_PER_ROUND), RoundRobin(removed_jobs, IDS_PER_ROUND)]
        self._waiting: dict[str, None] = {}
        self._pruned_until: dict[str, datetime] = {}
        self._rescan_at = clock.monotonic() + RESCAN_SECONDS
        self._records_at = clock.monotonic() + REST_SECONDS
        self._batch = min(FIRST_BATCH, MAX_BATCH)

    def work(self) -> int:
        """Prune for about `SLICE_SECONDS` if it is time; return the number of deleted runs.

        `due` is the monotonic time, in seconds, of the next work.
        """
        started = self._clock.monotonic()
        if started < self.due:
            return 0
        self.due = started + ROUND_SECONDS  # first: if the database fails, the loop must not come straight back here
        if started >= self._rescan_at:
            self._rescan_at = started + RESCAN_SECONDS
            self._pruned_until.clear()
        if started >= self._round_at:
            self._round_at = started + ROUND_SECONDS
            for source in self._sources:
                self._waiting |= dict.fromkeys(source.next(started))
            self._prune_records(started)
        deleted = self._prune(self._clock.now(), started + SLICE_SECONDS)
        spent = self._clock.monotonic() - started
        self.due = min(self._round_at, started + spent / TIME_SHARE) if self._waiting else self._round_at
        return deleted

    def _prune_records(self, at: float) -> None:
        if at >= self._records_at:
            self._records_at = at + RECORDS_SECONDS
            if prune_records(self._clock.now()):
                self._records_at = at + ROUND_SECONDS

    def _prune(self, now: datetime, until: float) -> int:
        deleted = 0
        # The jobs are read again, because a person may have raised their limits since they were found.
        for job in jobs_with_oldest_run(list(self._waiting)[:JOBS_PER_ROUND]):
            del self._waiting[job.pk]
            began, batch = self._clock.monotonic(), self._batch
            pruned = self._prune_job(job, now, batch)
            ended = self._clock.monotonic()
            deleted += pruned
            self._adapt(pruned, ended - began)
            if pruned == batch:
                self._waiting[job.pk] = None
            if ended >= until:
                break
        return deleted

    def _prune_job(self, job: Job, now: datetime, limit: int) -> int:
        try:
            pruned = prune_job(job, now, limit, vars(job).get("oldest"), self._pruned_until.get(job.pk))
        except Error:
            raise
        except Exception:
            # One damaged row must not stop the others.
            logger.exception("job %s cannot be pruned", job.pk, extra={"action": "prune_failed", "job": job.pk})
            return 0
        if pruned.reached is not None:
            self._pruned_until[job.pk] = pruned.reached
        return pruned.deleted

    def _adapt(self, pruned: int, spent: float) -> None:
        if spent > SLICE_SECONDS and pruned:
            self._batch = max(self._batch // 2, MIN_BATCH)
        elif spent < SLICE_SECONDS / 2 and pruned == self._batch:
            self._batch = min(self._batch * 2, MAX_BATCH)


class RoundRobin:
    """Goes through ids in their order, one page at a time, and begins again after the last one."""

    def __init__(self, page: Callable[[str, int], Page], size: int) -> None:
        """Read pages with `page(after, size)`."""
        self._page, self._size = page, size
        self._after, self._began_at = "", float("-inf")

    def next(self, at: float) -> list[str]:
        """Return the ids of the next page at the monotonic time `at`; none while it rests between two passes."""
        if not self._after:
            if at < self._began_at + REST_SECONDS:
                return []
            self._began_at = at
        ids, last = self._page(self._after, self._size)
        self._after = last or ""
        return ids
