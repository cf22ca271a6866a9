"""The state of a job, and the short form of its trigger. `JobQuerySet.with_state` is the rule of the state in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings

from ..core.exceptions import CronzimusError
from ..core.runs import FAILURES, JobState
from ..definitions import validation
from ..definitions.triggers import trigger_of
from ..models import Job


def job_state(job: Job, now: datetime) -> tuple[JobState, str]:
    """Return the state of a job at `now`, and the reason if it is broken (else "").

    The error with which a scheduler took the job off its schedule counts until the job is on it again.
    """
    return state_with(job, now, validation.problem(job))


def state_with(job: Job, now: datetime, problem: str) -> tuple[JobState, str]:
    """Return the same as `job_state` for a job whose definition has `problem` ("" for none)."""
    error = problem or (job.error if job.next_run_time is None else "")
    if error:
        return JobState.BROKEN, error
    if job.is_paused(now):
        return JobState.PAUSED, ""
    if job.next_run_time is None:
        return JobState.COMPLETED, ""
    return JobState.PENDING if job.last_run_at is None else JobState.RUNNING, ""


def is_failing(job: Job, state: JobState) -> bool:
    """Tell whether a job in `state` is active, and its last run failed."""
    return state in (JobState.PENDING, JobState.RUNNING) and job.last_status in FAILURES


def short_form(job: Job) -> str:
    """Return a job's trigger as lists show it, "interval[0:00:05]"; a damaged one by its type, if it has one."""
    try:
        return str(trigger_of(job))
    except CronzimusError:
        kind = job.trigger.get("type") if isinstance(job.trigger, Mapping) else None
        return kind[:40] if isinstance(kind, str) else "?"


def zone_of(job: Job) -> ZoneInfo:
    """Return the time zone of a job's trigger; that of the site if the trigger is damaged."""
    try:
        return trigger_of(job).timezone
    except CronzimusError:
        return ZoneInfo(settings.TIME_ZONE)
