"""Run the fire times of a pause."""

from __future__ import annotations

from datetime import datetime

from ..core.exceptions import InvalidRequest
from ..core.runs import MissedChoice
from ..definitions.backfills import MAX_FIRE_TIMES
from ..definitions.triggers import trigger_of
from ..models import Backfill, Job
from .backfills import begin_backfill, plan_of


def run_missed(job: Job, after: datetime, *, missed: MissedChoice, now: datetime) -> Backfill | None:
    """Start a backfill of the fire times after the aware `after` and up to `now` that `missed` chooses.

    The caller has locked the job, and announces the backfill.

    Fire times with a run that succeeded or is active are left out. Return None if there is nothing to run. Raises
    `InvalidRequest` for too many fire times, and `InvalidFunction` or `InvalidArguments` if the job could not run.
    """
    if missed is MissedChoice.NONE:
        return None
    trigger = trigger_of(job)
    last = trigger.latest_until(now)
    if last is None or last <= after:
        return None
    if missed is MissedChoice.ALL and trigger.count(after, now) > MAX_FIRE_TIMES:
        message = f"more than {MAX_FIRE_TIMES:,} fire times of job {job.id!r} fell into the pause; run the last or none"
        raise InvalidRequest(fields={"missed": message})
    first = trigger.next_after(after) if missed is MissedChoice.ALL else last
    plan = plan_of(job, start=first or last, end=last, only_missing=True)
    return begin_backfill(job, plan, max_active=job.max_instances, now=now) if plan.fire_times else None
