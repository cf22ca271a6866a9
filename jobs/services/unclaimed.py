"""Fire times that no scheduler is to claim any more: each that was due leaves a row that says why it did not run."""

from __future__ import annotations

from datetime import datetime

from ..core.exceptions import InvalidTrigger
from ..core.runs import RunStatus, RunTrigger
from ..definitions.policies import executor_of
from ..definitions.triggers import trigger_of
from ..models import Job, Run


def due_unclaimed(job: Job, now: datetime, *, what: str) -> Run | None:
    """Return a skipped run for the fire times of `job` that are due at `now`, None where there are none.

    One row stands for all of them, however many they are; `what` says what became of the job. The job is to be locked:
    its fire times are not claimed meanwhile.
    """
    if job.next_run_time is None or job.next_run_time > now:
        return None
    try:
        trigger = trigger_of(job)
        latest = max(trigger.latest_until(now) or job.next_run_time, job.next_run_time)
        fire_times = 1 + trigger.count(job.next_run_time, now)
    except InvalidTrigger:
        latest, fire_times = job.next_run_time, 1  # of a damaged row no more is known
    reason = f"its job was {what} before a scheduler claimed it"
    return skipped_run(job, latest, now=now, reason=reason, fire_times=fire_times)


def skipped_run(
    job: Job, scheduled_time: datetime, *, now: datetime, reason: str, fire_times: int = 1, actor: str = ""
) -> Run:
    """Return a run, not saved, that was skipped for `reason` and stands for `fire_times` fire times of `job`."""
    return Run(
        job_id=job.id, func=job.func, args=job.args or [], kwargs=job.kwargs or {}, executor=executor_of(job),
        actor=actor, status=RunStatus.SKIPPED, reason=reason, trigger=RunTrigger.SCHEDULE, fire_times=fire_times,
        scheduled_time=scheduled_time, queued_at=now, finished_at=now,
    )  # fmt: skip


def put_on_record(run: Run | None) -> None:
    """Write a skipped run, if there is one, unless its fire time is on record already."""
    if run is not None:
        # It may be: of a job of this name that was removed, or left out before, and up again since a resumption.
        Run.objects.bulk_create([run], ignore_conflicts=True)
