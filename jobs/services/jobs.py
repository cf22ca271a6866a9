"""The writes that people ask for, in the admin, over the API or by commands: each is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import DataError, IntegrityError, connection, transaction

from ..core.exceptions import InvalidRequest, JobExists, JobNotFound
from ..core.runs import RunStatus
from ..definitions import validation
from ..definitions.triggers import trigger_of
from ..models import Job, Run, announce
from .unclaimed import due_unclaimed, put_on_record, skipped_run

logger = logging.getLogger("cronzimus.services.jobs")

MENDING = {"func", "args", "kwargs", "max_runs"}
"""The fields, beside the trigger, for which a job may have been taken off its schedule."""
LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)
"""An instant before all fire times."""


def add_job(body: Mapping[str, Any], *, now: datetime, paused: bool = False) -> Job:
    """Add the job that `body` defines, flat as in the contract, and return it.

    Raises a subclass of `InvalidRequest` naming every bad field, or `JobExists`.
    """
    cleaned = validation.clean_job(body, now=now)
    job = Job(**cleaned, anchor=_anchor(now), paused=paused, created_at=now, updated_at=now)
    job.next_run_time = None if paused else _first_fire_time(job, now)
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            announce()
    except IntegrityError as error:
        if not Job.objects.filter(pk=job.id).exists():
            raise
        raise JobExists(
            f"a job with the id {job.id!r} exists already; PUT changes it", fields={"id": "is taken"}
        ) from error
    logger.info("job %s added", job.id, extra={"action": "job_added", "job": job.id})
    return job


def update_job(job_id: str, body: Mapping[str, Any], *, now: datetime) -> Job:
    """Change what `body` names of a job, and return it. The schedule is left alone unless the trigger changes.

    What was due by the trigger that it had, and not yet claimed, is put on record as skipped.
    Raises `JobNotFound`, or a subclass of `InvalidRequest` naming every bad field.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        cleaned = validation.clean_job(body, now=now, job=job)
        names = validation.changed(job, cleaned)
        unclaimed = due_unclaimed(job, now, what="given another trigger") if "trigger" in names else None
        for name in names:
            setattr(job, name, cleaned[name])
        if "trigger" in names:
            names += _reschedule(job, now)
            if unclaimed is not None and job.next_run_time != unclaimed.scheduled_time:
                put_on_record(unclaimed)
        elif _is_mended(job, names):
            job.error, job.next_run_time = "", _next_after(job, max(now, job.paused_until or now))
            names += ["error", "next_run_time"]
        elif "max_runs" in names and not _has_runs_left(job):
            job.next_run_time = None
            names.append("next_run_time")
        if names:
            job.updated_at = now
            job.save(update_fields=[*names, "updated_at"])
            announce()
    logger.info("job %s updated", job.id, extra={"action": "job_updated", "job": job.id})
    return job


def pause_job(job_id: str, *, now: datetime, until: datetime | None = None) -> Job:
    """Stop a job's trigger, for good or `until` an instant; its active runs go on.

    What was due and not yet claimed is put on record as skipped. One that is paused stays paused, until the instant
    that was given last. Raises `JobNotFound`, and `InvalidRequest` for an instant that is not to come.
    """
    if until is not None and until <= now:
        raise InvalidRequest(fields={"until": "lies in the past"})
    with transaction.atomic():
        job = locked_job(job_id)
        before = (job.paused, job.paused_until)
        # What is paused until an instant is due after it, like any other job: nobody has to wake it up.
        job.paused, job.paused_until = until is None, until
        if (job.paused, job.paused_until) != before:
            put_on_record(due_unclaimed(job, now, what="paused"))
            job.next_run_time = None if until is None else _next_after(job, until)
            job.updated_at = now
            job.save(update_fields=["paused", "paused_until", "next_run_time", "updated_at"])
            announce()
    return job


def resume_job(job_id: str, *, now: datetime) -> Job:
    """Start a paused job's trigger again, from `now`: what was missed during the pause does not fire.

    A job that is not paused stays as it is. Raises `JobNotFound`, and `InvalidTrigger` where its row is damaged.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        if job.paused or (job.paused_until is not None and job.paused_until > now):
            job.next_run_time = _next_after(job, now)
            job.paused, job.paused_until, job.updated_at = False, None, now
            job.save(update_fields=["paused", "paused_until", "next_run_time", "updated_at"])
            announce()
    return job


def skip_next(job_id: str, *, now: datetime, actor: str = "") -> Job:
    """Leave out the next fire time of a job, put that on record as a skipped run, and return the job.

    Raises `JobNotFound`, and `InvalidRequest` where there is no fire time to come.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        if job.next_run_time is None:
            raise InvalidRequest(f"job {job_id!r} has no fire time to come")
        reason = f"left out by {actor or 'a request'}"
        put_on_record(skipped_run(job, job.next_run_time, now=now, reason=reason, actor=actor))
        job.next_run_time = _next_after(job, job.next_run_time)
        job.save(update_fields=["next_run_time"])
        announce()
    return job


def remove_job(job_id: str, *, now: datetime) -> None:
    """Remove a job; its runs stay on record, and those that no scheduler has taken yet are cancelled.

    What was due and not yet claimed is put on record as skipped. Raises `JobNotFound`.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        put_on_record(due_unclaimed(job, now, what="removed"))
        job.delete()
        Run.objects.waiting().filter(job_id=job_id).order_by().update(
            status=RunStatus.CANCELLED, reason="its job was removed", finished_at=now
        )
        announce()
    logger.info("job %s removed", job_id, extra={"action": "job_removed", "job": job_id})


def duplicate_job(job_id: str, new_id: str, *, now: datetime) -> Job:
    """Add a paused copy of a job under `new_id`, and return it. Raises as `add_job` does, and `JobNotFound`."""
    job = get_job(job_id)
    body = {name: getattr(job, name) for name in (*validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS)}
    return add_job({**body, "id": new_id, "trigger": job.trigger}, now=now, paused=True)


def get_job(job_id: str) -> Job:
    """Return the job `job_id`. Raises `JobNotFound`."""
    try:
        return Job.objects.get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL has no NUL in its texts
        raise job_not_found(job_id) from error


def locked_job(job_id: str) -> Job:
    """Return the job `job_id`, its row locked until the transaction ends. Raises `JobNotFound`."""
    # The claims lock the job's row too: an edit, a pause or a removal comes before a claim or after it, never between.
    try:
        return Job.objects.select_for_update().get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL has no NUL in its texts
        raise job_not_found(job_id) from error


def job_not_found(job_id: str) -> JobNotFound:
    """Return the exception for an id that no job has."""
    return JobNotFound(f"there is no job {job_id[:64]!r}".encode("utf-8", "backslashreplace").decode())


def _is_mended(job: Job, names: Sequence[str]) -> bool:
    """Tell whether a change of the fields `names` lets a job run again that was taken off its schedule."""
    return job.next_run_time is None and not job.paused and _has_runs_left(job) and not MENDING.isdisjoint(names)


def _has_runs_left(job: Job) -> bool:
    return job.max_runs is None or job.claimed_count < job.max_runs


def _next_after(job: Job, instant: datetime) -> datetime | None:
    """Return the first fire time after `instant` that is not on record yet, as one is that was left out."""
    if not _has_runs_left(job):
        return None
    trigger = trigger_of(job)
    at = trigger.next_after(instant)
    while at is not None and _is_on_record(job.id, at):
        at = trigger.next_after(at)
    return at


def _is_on_record(job_id: str, at: datetime) -> bool:
    # As SQL: to put it together, Django takes as long as for all the rest of adding a job.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM cronzimus_run WHERE job_id = %s AND scheduled_time = %s LIMIT 1",
            [job_id, connection.ops.adapt_datetimefield_value(at)],
        )
        return cursor.fetchone() is not None


def _reschedule(job: Job, now: datetime) -> list[str]:
    job.anchor, job.error = _anchor(now), ""
    if job.paused_until is not None and job.paused_until > now:
        job.next_run_time = _next_after(job, job.paused_until)
    else:
        job.next_run_time = None if job.paused else _first_fire_time(job, now)
    return ["anchor", "error", "next_run_time"]


def _first_fire_time(job: Job, now: datetime) -> datetime | None:
    # A date that was accepted although it has just gone by is due at once.
    once = job.trigger["type"] == "date"
    return _next_after(job, LONG_AGO if once else now)


def _anchor(now: datetime) -> datetime:
    # Whole seconds: fire times are easier to read, and mean the same to every database.
    return now.replace(microsecond=0)
