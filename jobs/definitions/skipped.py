"""Skipped runs: each due fire time that no scheduler will claim any more leaves a row with the reason."""

from __future__ import annotations

from datetime import datetime

from ..core.exceptions import InvalidTrigger
from ..core.runs import RunStatus, RunTrigger
from ..models import Job, Run
from .policies import executor_of
from .triggers import trigger_of


def skip_due(job: Job, now: datetime, *, what: str = "", reason: str = "") -> Run | None:
    """Return a skipped run, not saved, for the fire times of `job` that are due at `now`; None if there are none.

    One row stands for all of them. `what` is the change of the job ("paused") from which the reason is made, if no
    `reason` is given. Lock the job first, so that no scheduler claims its fire times meanwhile.
    """
    if job.next_run_time is None or job.next_run_time > now:
        return None
    try:
        trigger = trigger_of(job)
        latest = max(trigger.latest_until(now) or job.next_run_time, job.next_run_time)
        fire_times = 1 + trigger.count(job.next_run_time, now)
    except InvalidTrigger:
        latest, fire_times = job.next_run_time, 1  # a damaged trigger names no others
    reason = reason or f"its job was {what} before a scheduler claimed it"
    return skipped_run(job, latest, now=now, reason=reason, fire_times=fire_times)


def skipped_run(
    job: Job, scheduled_time: datetime, *, now: datetime, reason: str, fire_times: int = 1, actor: str = ""
) -> Run:
    """Return a run, not saved, that was skipped for `reason` and stands for `fire_times` fire times of `job`."""
    return Run(
        job_id=job.id, func=job.func, args=job.args or [], kwargs=job.kwargs or {}, executor=executor_of(job),
        version=job.version, actor=actor, status=RunStatus.SKIPPED, reason=reason, trigger=RunTrigger.SCHEDULE,
        fire_times=fire_times,
        scheduled_time=scheduled_time, queued_at=now, finished_at=now,
    )  # fmt: skip


def save_skipped(run: Run | None) -> None:
    """Save a skipped run, unless its fire time has a row already. Does nothing for None."""
    if run is not None:
        # A removed job of the same name, or a skip before a resume, may have left a row for this fire time.
        Run.objects.bulk_create([run], ignore_conflicts=True)
