"""End the runs whose end people asked for."""

from __future__ import annotations

from datetime import datetime

from ..core.runs import RunStatus
from ..models import Run
from ..worker.output import Output
from ..worker.runner import Activity
from .pools import Pools
from .recorder import Recorder
from .store.held import HeldRun


def cancel_wanted(scheduler_id: str, pools: Pools, recorder: Recorder, now: datetime) -> None:
    """End the runs of `scheduler_id` that are to be cancelled: at once if not started, or as their executor can."""
    wanted = Run.objects.active().filter(scheduler_id=scheduler_id, cancel_requested_at__isnull=False)
    for run_id, name, reason in wanted.values_list("id", "executor", "reason"):
        executor = pools.executors[name]
        unstarted = executor.take_back_one(run_id)
        if unstarted is None:
            executor.cancel(run_id, reason)
        else:
            _record_unstarted(unstarted, recorder, reason, now)


def _record_unstarted(run: HeldRun, recorder: Recorder, reason: str, now: datetime) -> None:
    ended = Activity(run, now, Output()).outcome(now, status=RunStatus.CANCELLED, reason=reason)
    recorder.finished(ended._replace(started_at=None))
