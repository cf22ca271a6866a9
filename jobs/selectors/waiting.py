"""Say what a queued run of a Celery worker waits for, in the words of the run's page and of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..core.runs import DISPATCHED, Executor, RunStatus
from ..models import Run
from . import workers

WAITING_FIELDS = ("status", "executor", "queue", "scheduler_id", "available_at", "dispatched_at")
"""The columns of a run on which the answer depends."""


class Waiting:
    """Answers for the runs of one list. It asks for the workers once, with the first run that may wait for one."""

    def __init__(self, now: datetime) -> None:
        """Answer as of `now`."""
        self._now = now
        self._served: frozenset[str] | None = None

    def of_run(self, run: Run) -> str | None:
        """Return what `run` waits for, as `of` does."""
        return self.of([getattr(run, name) for name in WAITING_FIELDS])

    def of(self, row: Sequence[Any]) -> str | None:
        """Return what a run waits for, by its `WAITING_FIELDS`: "the broker".

        None for a run that is not queued, runs elsewhere, may not start yet, or that a scheduler may take at any time.
        """
        status, executor, queue, holder, available_at, dispatched_at = row
        if status != RunStatus.QUEUED or executor != Executor.CELERY:
            return None
        if holder == DISPATCHED and dispatched_at is None:
            return "the broker"
        if available_at is not None and available_at > self._now:
            return None
        if not workers.has_broker():
            return "schedulers with CELERY_BROKER_URL: it is not set here"
        if not self._serves(queue):
            return f"a worker: none serves the queue {queue}"
        return "a free slot of a worker" if holder == DISPATCHED else None

    def _serves(self, queue: object) -> bool:
        if self._served is None:
            self._served = workers.served_queues(self._now)
        return queue in self._served
