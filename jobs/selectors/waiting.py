"""Say what a queued run of a Celery worker waits for, in the words of the run's page and of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..core.dispatches import COUNTS_AS_LOST_AFTER, made_at
from ..core.runs import DISPATCHED, Executor, RunStatus
from ..models import Run
from .obstacles import SAME_BROKER, sent_messages
from .workers import Fleet, Obstacle, has_broker

WAITING_FIELDS = (
    "status", "executor", "queue", "scheduler_id", "available_at", "dispatched_at", "dispatch_id", "dispatches",
)  # fmt: skip
"""The columns of a run on which the answer depends."""


class Waiting:
    """Says of each run of a list what it waits for. The workers are read once, for the first run that needs them."""

    def __init__(self, now: datetime) -> None:
        """Answer as of `now`."""
        self._now = now
        self._fleet = Fleet(now)

    def of_run(self, run: Run) -> str | None:
        """Return what `run` waits for, as `of` does."""
        return self.of([getattr(run, name) for name in WAITING_FIELDS])

    def of(self, row: Sequence[Any]) -> str | None:
        """Return what a run waits for, by its `WAITING_FIELDS`: "the broker".

        None for a run that is not queued, runs elsewhere, may not start yet, or that a scheduler may take at any time.
        """
        status, executor, queue, holder, available_at, dispatched_at, dispatch_id, dispatches = row
        if status != RunStatus.QUEUED or executor != Executor.CELERY:
            return None
        if holder == DISPATCHED and dispatched_at is None and has_broker():
            return self._broker(queue, dispatch_id)
        if available_at is not None and available_at > self._now:
            return None
        if not has_broker():
            return "schedulers with CELERY_BROKER_URL: it is not set here"
        if queue not in self._fleet.serving:
            is_served = queue in self._fleet.served
            why = (
                f"the last one of the queue {queue} was told to stop" if is_served else f"none serves the queue {queue}"
            )
            return f"a worker: {why}"
        if holder != DISPATCHED:
            return None
        sent = dispatches or 1
        is_late = sent > 1 or self._now - dispatched_at > COUNTS_AS_LOST_AFTER
        if is_late and self._fleet.obstacle_of(queue) is Obstacle.NOT_TAKEN:
            return (
                f"a worker: {sent_messages(sent)} sent to the queue {queue} and not taken, though one is free: "
                f"{SAME_BROKER}"
            )
        return "a free slot of a worker"

    def _broker(self, queue: object, dispatch_id: str | None) -> str:
        since = made_at(dispatch_id or "")
        if since is None or self._now - since <= COUNTS_AS_LOST_AFTER:
            return "the broker"
        return f"the broker: it has taken no message for the queue {queue} since {since:%Y-%m-%d %H:%M:%S} UTC"
