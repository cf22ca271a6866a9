"""Add, change, copy and remove jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, transaction

from ..core.exceptions import JobExists, JobNotFound
from ..core.runs import RunStatus
from ..definitions import validation
from ..definitions.triggers import is_over
from ..models import Job, Run, announce
from .schedule import anchor_at, first_fire_time, has_runs_left, next_after
from .skipped import save_skipped, skip_due

logger = logging.getLogger("cronzimus.services.jobs")

UNIQUE_VIOLATION = "23505"
"""PostgreSQL's code where a row has the key of another one (its manual, appendix A)."""
KEY_TAKEN = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
"""SQLite's names of the same."""
MENDING = {"func", "args", "kwargs", "max_runs"}
"""The fields, beside the trigger, whose change can put a job back on its schedule."""


def add_job(body: Mapping[str, Any], *, now: datetime, paused: bool = False, allow_past: bool = False) -> Job:
    """Add the job that `body` defines, flat as in the contract, and return it.

    With `allow_past` its time may have passed: then it is completed from the start. Raises a subclass of
    `InvalidRequest` that names every bad field, or `JobExists`.
    """
    cleaned = validation.clean_job(body, now=now, allow_past=allow_past)
    job = Job(**cleaned, anchor=anchor_at(now), paused=paused, created_at=now, updated_at=now)
    job.paused_at = now if paused else None
    job.next_run_time = None if paused or (allow_past and is_over(job, now)) else first_fire_time(job, now)
    try:
        with transaction.atomic():
            job.save(force_insert=True)
            announce()
    except IntegrityError as error:
        if not _is_taken(error):
            raise
        message = f"a job with the id {job.id!r} exists already; PUT changes it"
        raise JobExists(message, fields={"id": "is taken"}) from error
    logger.info("job %s added", job.id, extra={"action": "job_added", "job": job.id})
    return job


def update_job(job_id: str, body: Mapping[str, Any], *, now: datetime, allow_past: bool = False) -> Job:
    """Change the fields that `body` names, and return the job. Only another trigger changes the schedule.

    Fire times of the old trigger that are due and not claimed are saved as skipped. With `allow_past` the time of the
    new trigger may have passed: then the job is completed. Raises `JobNotFound`, or a subclass of `InvalidRequest` that
    names every bad field.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        cleaned = validation.clean_job(body, now=now, job=job, allow_past=allow_past)
        names = validation.changed(job, cleaned)
        due = skip_due(job, now, what="given another trigger") if "trigger" in names else None
        for name in names:
            setattr(job, name, cleaned[name])
        if "trigger" in names:
            names += _reschedule(job, now, allow_past and is_over(job, now))
            if due is not None and job.next_run_time != due.scheduled_time:
                save_skipped(due)
        elif _is_mended(job, names):
            job.error, job.next_run_time = "", next_after(job, max(now, job.paused_until or now))
            names += ["error", "next_run_time"]
        elif "max_runs" in names and not has_runs_left(job):
            job.next_run_time = None
            names.append("next_run_time")
        if names:
            job.updated_at = now
            job.save(update_fields=[*names, "updated_at"])
            announce()
    logger.info("job %s updated", job.id, extra={"action": "job_updated", "job": job.id})
    return job


def remove_job(job_id: str, *, now: datetime) -> None:
    """Remove a job. Its runs stay on record; those that no scheduler has taken are cancelled.

    Fire times that are due and not claimed are saved as skipped. Raises `JobNotFound`.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        save_skipped(skip_due(job, now, what="removed"))
        job.delete()
        # Active as well: SQLite then finds them among the active runs, and not among all runs of the job.
        Run.objects.active().waiting().filter(job_id=job_id).order_by().update(
            status=RunStatus.CANCELLED, reason="its job was removed", finished_at=now
        )
        announce()
    logger.info("job %s removed", job_id, extra={"action": "job_removed", "job": job_id})


def duplicate_job(job_id: str, new_id: str, *, now: datetime) -> Job:
    """Add a paused copy of a job under `new_id`, and return it. Raises as `add_job` does, and `JobNotFound`."""
    job = get_job(job_id)
    body = {name: getattr(job, name) for name in (*validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS)}
    return add_job({**body, "id": new_id, "trigger": job.trigger}, now=now, paused=True, allow_past=True)


def get_job(job_id: str) -> Job:
    """Return the job `job_id`. Raises `JobNotFound`."""
    try:
        return Job.objects.get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL refuses NUL in texts
        raise job_not_found(job_id) from error


def locked_job(job_id: str) -> Job:
    """Return the job `job_id`, its row locked until the transaction ends. Raises `JobNotFound`.

    Claims lock the job's row too: an edit, a pause or a removal comes before a claim or after it, never between.
    """
    try:
        return Job.objects.select_for_update().get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL refuses NUL in texts
        raise job_not_found(job_id) from error


def job_not_found(job_id: str) -> JobNotFound:
    """Return the exception for an id that no job has."""
    return JobNotFound(f"there is no job {job_id[:64]!r}".encode("utf-8", "backslashreplace").decode())


def _is_taken(error: IntegrityError) -> bool:
    """Tell whether the database refused a row because another one has its key, and not for a wrong value."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) == UNIQUE_VIOLATION or getattr(cause, "sqlite_errorname", None) in KEY_TAKEN


def _is_mended(job: Job, names: Sequence[str]) -> bool:
    """Tell whether a change of the fields `names` puts a job back on its schedule."""
    return job.next_run_time is None and not job.paused and has_runs_left(job) and not MENDING.isdisjoint(names)


def _reschedule(job: Job, now: datetime, over: bool) -> list[str]:
    job.anchor, job.error = anchor_at(now), ""
    if over or job.paused:
        job.next_run_time = None
    elif job.paused_until is not None and job.paused_until > now:
        job.next_run_time = next_after(job, job.paused_until)
    else:
        job.next_run_time = first_fire_time(job, now)
    return ["anchor", "error", "next_run_time"]
