"""Stop and restart all claiming."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from ..core.audit import Action, current_actor
from ..core.exceptions import InvalidArguments, InvalidFunction, InvalidRequest, InvalidTrigger
from ..core.runs import MissedChoice
from ..core.times import MICROSECOND
from ..definitions.backfills import MAX_FIRE_TIMES
from ..definitions.skipped import save_skipped, skip_due
from ..models import Control, Job, Scheduler, announce
from ..records.audit import record
from .missed import run_missed
from .schedule import next_after

logger = logging.getLogger("cronzimus.services.control")

NAMED = 10
"""Jobs that a message names."""


def pause_all(*, now: datetime, reason: str = "") -> Control:
    """Stop all schedulers from claiming fire times and starting runs, until `resume_all`. Active runs go on.

    If everything is paused already, the first pause and its reason stay. Return the row.
    """
    control, _ = _set(paused=True, now=now, reason=reason)
    return control


def resume_all(*, now: datetime, missed: MissedChoice | None = None) -> tuple[Control, str]:
    """Let the schedulers claim again. Return the row, and a sentence about the jobs that were left out ("" for none).

    Without `missed`, fire times that became due meanwhile are late, and their jobs' policies apply. With it, the fire
    times that it chooses run; if it chooses none of a job, they are saved as skipped. A job with more fire times than a
    backfill may have is left to its policies. Damaged jobs, and jobs that could not run, are left to the schedulers,
    which record the error.
    """
    left: list[str] = []
    with transaction.atomic():
        control, was_paused = _set(paused=False, now=now, reason="")
        if was_paused and missed is not None:
            for job in Job.objects.due(now).select_for_update().order_by("id"):
                try:
                    _catch_up(job, missed, now)
                except (InvalidTrigger, InvalidFunction, InvalidArguments):
                    continue
                except InvalidRequest:
                    left.append(job.pk)
    return control, _about(left)


def _about(left: Sequence[str]) -> str:
    if not left:
        return ""
    more = f" and {len(left) - NAMED:,} more" if len(left) > NAMED else ""
    said = (
        f"more than {MAX_FIRE_TIMES:,} fire times of a job fell into the pause; "
        f"left to their policies: {', '.join(left[:NAMED])}{more}"
    )
    logger.warning("resume of all: %s", said, extra={"action": "all_resumed"})
    return said


def drain_scheduler(scheduler_id: str, *, now: datetime) -> Scheduler:
    """Have one scheduler claim nothing more, within its next heartbeat, and return its row. Its active runs go on.

    Other schedulers take what it has not started. Raises `InvalidRequest` if it has stopped, or never was.
    """
    return _drain(scheduler_id, Action.SCHEDULER_DRAINED, now=now, drained_at=now, drained_by=current_actor())


def resume_scheduler(scheduler_id: str, *, now: datetime) -> Scheduler:
    """Let a drained scheduler claim again, and return its row. Raises as `drain_scheduler` does."""
    return _drain(scheduler_id, Action.SCHEDULER_RESUMED, now=now, drained_at=None, drained_by="")


def _drain(scheduler_id: str, action: Action, *, now: datetime, **fields: Any) -> Scheduler:
    with transaction.atomic():
        running = Scheduler.objects.select_for_update().filter(pk=scheduler_id, stopped_at__isnull=True)
        scheduler: Scheduler | None = running.first()
        if scheduler is None:
            raise InvalidRequest(f"no scheduler {scheduler_id!r} is running")
        if (scheduler.drained_at is None) != (fields["drained_at"] is None):
            running.update(**fields)
            record(action, now=now, object_id=scheduler_id)
            announce()
            by, extra = current_actor() or "?", {"action": action.value}
            logger.warning("%s: %s by %s", action.words, scheduler_id, by, extra=extra)
    scheduler.refresh_from_db()
    return scheduler


def _catch_up(job: Job, missed: MissedChoice, now: datetime) -> None:
    """Move a due job on to its next fire time after `now`, and run or skip the fire times that are due.

    Raises `InvalidRequest` before anything is saved.
    """
    due_at = job.next_run_time
    if due_at is None:
        return
    next_run_time = next_after(job, now)
    backfill = run_missed(job, due_at - MICROSECOND, missed=missed, now=now)
    if backfill is None:
        reason = f"all jobs were resumed by {current_actor() or 'a request'} without the fire times of the pause"
        save_skipped(skip_due(job, now, reason=reason))
    Job.objects.filter(pk=job.pk).update(next_run_time=next_run_time)


def _set(*, paused: bool, now: datetime, reason: str) -> tuple[Control, bool]:
    """Save the pause or its end; return the row, and whether everything was paused before."""
    with transaction.atomic():
        Control.objects.get_or_create(pk=1)
        control = Control.objects.select_for_update().get(pk=1)
        was_paused = control.paused
        if was_paused != paused:
            control.paused, control.actor, control.reason = paused, current_actor(), reason
            control.paused_at = now if paused else None
            control.save()
            action = Action.ALL_PAUSED if paused else Action.ALL_RESUMED
            changes = {"paused": (was_paused, paused)} | ({"reason": (None, reason)} if reason else {})
            record(action, now=now, changes=changes)
            announce()
            by, extra = current_actor() or "?", {"action": action.value}
            logger.warning("all claiming %s by %s", "paused" if paused else "resumed", by, extra=extra)
    return control, was_paused
