"""The state of a job, for the API and the admin alike: the rule, in Python and in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, Q, TextField, Value, When
from django.utils import timezone

from ..core.exceptions import CronzimusError
from ..core.runs import JobState
from ..definitions import validation
from ..definitions.triggers import trigger_of
from ..models import Job


def job_state(job: Job, now: datetime | None = None) -> tuple[JobState, str]:
    """Return the state of a job at `now` (None: at this instant), and why it is broken ("" where it is not).

    What a scheduler wrote down when it took the job off its schedule counts until the job is on it again.
    """
    error = validation.problem(job) or (job.error if job.next_run_time is None else "")
    if error:
        return JobState.BROKEN, error
    if is_paused(job, now or timezone.now()):
        return JobState.PAUSED, ""
    if job.next_run_time is None:
        return JobState.COMPLETED, ""
    return JobState.PENDING if job.last_run_at is None else JobState.RUNNING, ""


def is_paused(job: Job, now: datetime) -> bool:
    """Tell whether a job's trigger is stopped at `now`: for good, or until an instant that is to come."""
    return job.paused or (job.paused_until is not None and job.paused_until > now)


def state_sql(now: datetime | Value) -> Case:
    """Return the rule of `job_state` at `now`, or at what stands for it, in SQL.

    Definitions that cannot be understood are left out: those `descriptions` finds.
    """
    return Case(
        When(Q(next_run_time=None) & ~Q(error=""), then=Value(JobState.BROKEN.value)),
        When(Q(paused=True) | Q(paused_until__gt=now), then=Value(JobState.PAUSED.value)),
        When(next_run_time=None, then=Value(JobState.COMPLETED.value)),
        When(last_run_at=None, then=Value(JobState.PENDING.value)),
        default=Value(JobState.RUNNING.value),
        output_field=TextField(),
    )


def short_form(job: Job) -> str:
    """Return a job's trigger as lists show it, "interval[0:00:05]"; a damaged one by its type, if it has one."""
    try:
        return str(trigger_of(job))
    except CronzimusError:
        kind = job.trigger.get("type") if isinstance(job.trigger, Mapping) else None
        return kind[:40] if isinstance(kind, str) else "?"


def zone_of(job: Job) -> ZoneInfo:
    """Return the time zone of a job: its trigger's, and the site's where that can not be understood."""
    try:
        return trigger_of(job).timezone
    except CronzimusError:
        return ZoneInfo(settings.TIME_ZONE)
