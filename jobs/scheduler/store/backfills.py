"""Queue the runs of backfills, up to the number that each may have active."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from django.db import transaction

from ...core.exceptions import CronzimusError
from ...core.times import MICROSECOND
from ...definitions.backfills import attempts_at, backfill_run, fire_times_of, is_active, is_missing
from ...models import Backfill, Job, Run, announce
from ...models.backfill import CANCELLED, DONE, RUNNING

CHUNK = 100
"""Fire times of one step of a backfill."""


def advance(now: datetime) -> bool:
    """Take each running backfill a step further; return whether one of them can take another step at once."""
    has_more = False
    for pk in Backfill.objects.filter(state=RUNNING).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            backfill = Backfill.objects.select_for_update(skip_locked=True).filter(pk=pk, state=RUNNING).first()
            if backfill is not None:
                has_more |= _advance(backfill, now)
    return has_more


def _advance(backfill: Backfill, now: datetime) -> bool:
    job = Job.objects.select_for_update().filter(pk=backfill.job_id).first()
    active = Run.objects.active().filter(backfill=backfill).count()
    if job is None:
        _end(backfill, CANCELLED, now)
        return False
    room = backfill.max_active - active
    if room <= 0:
        return False
    try:
        following = fire_times_of(job, _start(backfill), backfill.end)
        instants = list(islice(following, CHUNK))
    except (CronzimusError, TypeError):  # its job's trigger, or its own range, has been damaged
        _end(backfill, CANCELLED, now)
        return False
    if not instants:
        if not active:
            _end(backfill, DONE, now)
        return False
    runs, looked_at = _choose(backfill, job, instants, room, now)
    Run.objects.bulk_create(runs)
    backfill.queued += len(runs)
    backfill.left_out += looked_at - len(runs)
    backfill.queued_until = instants[looked_at - 1]
    backfill.save(update_fields=["queued", "left_out", "queued_until"])
    if runs:
        announce()
    return looked_at == len(instants) and len(runs) < room


def _start(backfill: Backfill) -> datetime:
    return backfill.start if backfill.queued_until is None else backfill.queued_until + MICROSECOND


def _choose(backfill: Backfill, job: Job, instants: list[datetime], room: int, now: datetime) -> tuple[list[Run], int]:
    """Return the runs to queue, at most `room`, and the number of `instants` that were handled."""
    attempts = attempts_at(job, instants)
    runs: list[Run] = []
    for index, at in enumerate(instants):
        if len(runs) == room:
            return runs, index
        there = attempts.get(at, [])
        wanted = is_missing(there) if backfill.only_missing else not is_active(there)
        if wanted and at != job.next_run_time:
            runs.append(backfill_run(backfill, job, at, there, now))
    return runs, len(instants)


def _end(backfill: Backfill, state: str, now: datetime) -> None:
    backfill.state, backfill.ended_at = state, now
    backfill.save(update_fields=["state", "ended_at"])
