"""Plan, start and cancel backfills."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from ..core.audit import Action, current_actor
from ..core.exceptions import BackfillNotFound, InvalidRequest
from ..definitions.arguments import clean_arguments
from ..definitions.backfills import MAX_FIRE_TIMES, attempts_at, fire_times_of, is_missing
from ..functions import registry
from ..models import Backfill, Job, Run, announce
from ..models.backfill import CANCELLED, RUNNING
from ..records.audit import record
from .jobs import get_job, locked_job

logger = logging.getLogger("cronzimus.services.backfills")

SHOWN = 20
MAX_ACTIVE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPlan:
    """The range of a backfill, the fire times that it would run, and the number that it would leave out."""

    start: datetime
    end: datetime
    only_missing: bool
    fire_times: list[datetime]
    left_out: int


def plan_backfill(job_id: str, *, start: datetime, end: datetime, only_missing: bool, now: datetime) -> BackfillPlan:
    """Return the plan of a backfill of a job. Nothing is saved.

    Args:
        job_id: the job's id.
        start: aware; the first instant that counts.
        end: aware; the last instant that counts, in the past.
        only_missing: whether to leave out fire times with a run that succeeded or is active.
        now: aware.

    Raises `JobNotFound`, and `InvalidRequest` for a range that is empty, in the future, or has too many fire times.
    """
    if end > now:
        raise InvalidRequest(fields={"to": "must not lie in the future: what is to come runs by itself"})
    if start > end:
        raise InvalidRequest(fields={"from": "must not be later than 'to'"})
    return plan_of(get_job(job_id), start=start, end=end, only_missing=only_missing)


def plan_of(job: Job, *, start: datetime, end: datetime, only_missing: bool) -> BackfillPlan:
    """Return the plan for a job that is loaded. Raises `InvalidRequest` if the range has too many fire times."""
    found: list[datetime] = []
    for at in fire_times_of(job, start, end):
        found.append(at)
        if len(found) > MAX_FIRE_TIMES:
            message = f"the range has more than {MAX_FIRE_TIMES:,} fire times: choose a shorter one"
            raise InvalidRequest(fields={"to": message})
    runs = found
    if only_missing:
        runs = []
        for begin in range(0, len(found), 500):
            instants = found[begin : begin + 500]
            attempts = attempts_at(job, instants)
            runs += [at for at in instants if is_missing(attempts.get(at, []))]
    left_out = len(found) - len(runs)
    return BackfillPlan(start=start, end=end, only_missing=only_missing, fire_times=runs, left_out=left_out)


def start_backfill(
    job_id: str, *, start: datetime, end: datetime, only_missing: bool, max_active: int, now: datetime
) -> Backfill:
    """Start a backfill: the schedulers queue its runs, at most `max_active` of them at a time. Return it.

    Raises as `plan_backfill` does, `InvalidRequest` if there is nothing to run, and `InvalidFunction` or
    `InvalidArguments` if the job could not run.
    """
    if not 1 <= max_active <= MAX_ACTIVE:
        raise InvalidRequest(fields={"max_active": f"must be a whole number from 1 to {MAX_ACTIVE}"})
    plan = plan_backfill(job_id, start=start, end=end, only_missing=only_missing, now=now)
    if not plan.fire_times:
        raise InvalidRequest(fields={"from": "the range has no fire time to run"})
    with transaction.atomic():
        backfill = begin_backfill(locked_job(job_id), plan, max_active=max_active, now=now)
        announce()
    return backfill


def begin_backfill(job: Job, plan: BackfillPlan, *, max_active: int, now: datetime) -> Backfill:
    """Save the backfill of a plan with fire times, and return it. The caller has locked the job, and announces it.

    Raises `InvalidFunction` or `InvalidArguments` if the job could not run.
    """
    clean_arguments(registry.lookup(job.func), job.args, job.kwargs)
    number = len(plan.fire_times)
    backfill = Backfill.objects.create(
        job=job, start=plan.start, end=plan.end, only_missing=plan.only_missing, max_active=max_active,
        actor=current_actor(), created_at=now, fire_times=number,
    )  # fmt: skip
    changes = {"from": (None, plan.start), "to": (None, plan.end), "runs": (None, number)}
    record(Action.BACKFILL_STARTED, now=now, job_id=job.pk, object_id=backfill.pk, changes=changes)
    extra = {"action": "backfill_started", "job": job.pk, "backfill": backfill.pk}
    logger.info("backfill %s of job %s started: %d runs", backfill.pk, job.pk, number, extra=extra)
    return backfill


def cancel_backfill(backfill_id: int, *, now: datetime) -> Backfill:
    """Stop a backfill from queueing runs, cancel its active runs, and return it.

    Raises `BackfillNotFound`, and `InvalidRequest` if it has ended.
    """
    with transaction.atomic():
        backfill = Backfill.objects.select_for_update().filter(pk=backfill_id).first()
        if backfill is None:
            raise BackfillNotFound(f"there is no backfill {backfill_id}")
        if backfill.state != RUNNING:
            raise InvalidRequest(f"backfill {backfill_id} has ended already: {backfill.state}")
        backfill.state, backfill.ended_at = CANCELLED, now
        backfill.save(update_fields=["state", "ended_at"])
        runs = Run.objects.active().filter(backfill=backfill)
        list(runs.select_for_update().order_by("id").values_list("pk"))
        runs.cancel(f"its backfill was cancelled by {current_actor() or 'a request'}", now)
        record(Action.BACKFILL_CANCELLED, now=now, job_id=backfill.job_id, object_id=backfill.pk)
        announce()
    logger.info("backfill %s cancelled", backfill_id, extra={"action": "backfill_cancelled", "backfill": backfill_id})
    return backfill
