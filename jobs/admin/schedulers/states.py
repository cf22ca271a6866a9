"""The states of schedulers and workers, and their badges."""

from __future__ import annotations

from datetime import datetime

from django.utils.safestring import SafeString

from ...models import Scheduler, Worker
from .. import display

LOOKS = {
    "alive": ("alive", "check"), "drained": ("missed", "pause"), "draining": ("missed", "hourglass"),
    "no process": ("dead", "warning"), "dead": ("dead", "cross"), "stopped": ("cancelled", "stop"),
}  # fmt: skip
"""The class that gives the colour of a state, and its icon."""


def scheduler_state(scheduler: Scheduler, now: datetime) -> str:
    """Return the state of a scheduler at `now`: alive, draining, drained, dead or stopped."""
    if scheduler.stopped_at is not None:
        return "stopped"
    if not scheduler.is_alive(now):
        return "dead"
    if scheduler.drained_at is None:
        return "alive"
    return "draining" if scheduler.queued_runs or scheduler.running_runs else "drained"


def worker_state(worker: Worker, now: datetime) -> str:
    """Return the state of a worker at `now`: alive, draining, no process (none starts), dead or stopped."""
    if worker.stopped_at is not None:
        return "stopped"
    if not worker.is_alive(now):
        return "dead"
    if worker.takes_runs(now):
        return "alive"
    return "draining" if worker.is_draining(now) else "no process"


def badge(state: str, *, pill: bool = False) -> SafeString:
    """Return the badge of a state."""
    return display.badge(LOOKS[state][0], state, LOOKS[state][1], pill=pill)
