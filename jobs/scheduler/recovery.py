"""Give up for lost what dead schedulers held, so that no run stays `running` for ever."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from ..core.runs import RunStatus
from ..models import Job, Run, Scheduler
from .repair import repair_hidden
from .store.retries import queue_retries

logger = logging.getLogger("cronzimus.scheduler.recovery")

KEEP_STOPPED = timedelta(days=7)
"""How long the row of a scheduler that has stopped stays on show."""


def recover(now: datetime) -> int:
    """Mark the runs of schedulers whose lease is over at `now` as lost, and return how many there were.

    Damaged rows that would hide what is due are set right first.
    """
    repair_hidden(now)
    return _bury_dead(now) + _lose_unheld(now)


def _bury_dead(now: datetime) -> int:
    with transaction.atomic():
        dead = Scheduler.objects.dead(now).select_for_update(skip_locked=True)
        ids = list(dead.values_list("id", flat=True))
        if not ids:
            return 0
        reason = f"its scheduler's lease was over at {now:%Y-%m-%d %H:%M:%S} UTC, without a heartbeat"
        lost = lose(ids, reason, now, skip_locked=True)
        Scheduler.objects.filter(id__in=ids).update(stopped_at=now, queued_runs=0, running_runs=0)
    for scheduler_id in ids:
        logger.warning("scheduler %s is dead", scheduler_id, extra={"action": "scheduler_dead"})
    return lost


def _lose_unheld(now: datetime) -> int:
    # A scheduler that froze in the middle of a claim commits it when it thaws, under a lease that was given up.
    holders = Scheduler.objects.filter(stopped_at__isnull=True).values("id")
    unheld = Run.objects.active().filter(scheduler_id__isnull=False).exclude(scheduler_id__in=holders)
    ids = list(unheld.order_by().values_list("scheduler_id", flat=True).distinct())
    return lose(ids, "its scheduler had been given up before", now, skip_locked=True) if ids else 0


@transaction.atomic
def lose(scheduler_ids: Sequence[str], reason: str, now: datetime, *, skip_locked: bool = False) -> int:
    """Mark the active runs that `scheduler_ids` hold as lost for `reason`, and return how many there were.

    With `skip_locked` but for those that somebody else is writing.
    """
    held = Run.objects.active().filter(scheduler_id__in=scheduler_ids)
    # Locked: an outcome that is being written just now comes first, and its run is not counted twice. A scheduler
    # waits for no lock on the runs of another, which may be waiting for those that it has: what it skips it finds with
    # its next heartbeat.
    lost = list(held.order_by("id").select_for_update(skip_locked=skip_locked).values_list("id", "job_id"))
    ids = [run_id for run_id, _ in lost]
    Run.objects.filter(id__in=ids).update(status=RunStatus.LOST, reason=reason, finished_at=now)
    queue_retries(ids, now)
    for job_id in sorted({job_id for _, job_id in lost}):
        Job.objects.filter(pk=job_id).update(
            run_count=F("run_count") + sum(1 for _, owner in lost if owner == job_id),
            failure_count=F("failure_count") + sum(1 for _, owner in lost if owner == job_id),
            last_status=RunStatus.LOST,
            last_run_at=now,
        )
    for run_id, job_id in lost:
        logger.warning("run %s of job %s is lost", run_id, job_id, extra={"action": "run_lost", "run": run_id})
    return len(lost)


def forget_stopped(now: datetime) -> None:
    """Delete the rows of schedulers that stopped long ago; runs keep their names."""
    Scheduler.objects.filter(stopped_at__lt=now - KEEP_STOPPED).delete()
