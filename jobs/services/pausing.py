"""Stop and restart the trigger of one job, and skip its next fire time."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from .. import alerts
from ..core.audit import Action, current_actor
from ..core.exceptions import InvalidRequest
from ..core.runs import MissedChoice
from ..definitions.skipped import save_skipped, skip_due, skipped_run
from ..models import Backfill, Job, announce
from ..models.job import PAUSE_FIELDS
from ..records import history
from ..records.audit import record
from ..selectors.versions import whole_definition
from .jobs import locked_job
from .missed import run_missed
from .schedule import next_after


def pause_job(job_id: str, *, now: datetime, until: datetime | None = None) -> Job:
    """Stop a job's trigger, for good or `until` an instant, and return the job. Its active runs go on.

    Fire times that are due and not claimed are saved as skipped. A paused job stays paused, until the instant that was
    given last. Raises `JobNotFound`, and `InvalidRequest` if `until` does not lie in the future.
    """
    if until is not None and until <= now:
        raise InvalidRequest(fields={"until": "lies in the past"})
    with transaction.atomic():
        job = locked_job(job_id)
        before, definition = (job.paused, job.paused_until), whole_definition(job)
        if before != (until is None, until):
            save_skipped(skip_due(job, now, what="paused"))
            # The end of a pause needs no action: the job is simply due after it.
            due = None if until is None else next_after(job, until)
            job.pause(now, by=current_actor(), until=until, next_run_time=due)
            job.save(update_fields=PAUSE_FIELDS)
            until_when = {} if until == before[1] else {"paused_until": (before[1], until)}
            history.record_change(job, definition, now=now, action=Action.JOB_PAUSED, more=until_when)
            announce()
    return job


def resume_job(job_id: str, *, now: datetime) -> Job:
    """Restart a paused job's trigger from `now`, and return the job. Fire times during the pause do not run.

    Failures before the resume no longer count for `pause_after`.
    A job that is not paused stays as it is. Raises `JobNotFound`, and `InvalidTrigger` if its row is damaged.
    """
    job, _ = resume_with(job_id, missed=MissedChoice.NONE, now=now)
    return job


def resume_with(job_id: str, *, missed: MissedChoice, now: datetime) -> tuple[Job, Backfill | None]:
    """Restart a paused job's trigger from `now`, and run the fire times of the pause that `missed` chooses.

    Return the job, and the backfill that runs them; None if there is nothing to run. A job that is not paused stays as
    it is. Raises as `resume_job` does, `InvalidRequest` for more fire times than a backfill may have, and
    `InvalidFunction` or `InvalidArguments` if there is something to run and the job could not run.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        if not job.is_paused(now):
            return job, None
        paused_at, before, until = job.paused_at or job.updated_at, whole_definition(job), job.paused_until
        job.resume(now, next_run_time=next_after(job, now))
        job.save(update_fields=PAUSE_FIELDS)
        until_when = {} if until is None else {"paused_until": (until, None)}
        history.record_change(job, before, now=now, action=Action.JOB_RESUMED, more=until_when)
        alerts.forgive(job_id)
        announce()
        return job, run_missed(job, paused_at, missed=missed, now=now)


def skip_next(job_id: str, *, now: datetime) -> Job:
    """Skip the next fire time of a job, save a skipped run for it, and return the job.

    Raises `JobNotFound`, and `InvalidRequest` if the job has no fire time to come.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        if job.next_run_time is None:
            raise InvalidRequest(f"job {job_id!r} has no fire time to come")
        reason = f"left out by {current_actor() or 'a request'}"
        save_skipped(skipped_run(job, job.next_run_time, now=now, reason=reason, actor=current_actor()))
        skipped, job.next_run_time = job.next_run_time, next_after(job, job.next_run_time)
        job.save(update_fields=["next_run_time"])
        changes = {"next_run_time": (skipped, job.next_run_time)}
        record(Action.JOB_SKIPPED, now=now, job_id=job_id, changes=changes)
        announce()
    return job
