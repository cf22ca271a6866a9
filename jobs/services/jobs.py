"""Add, change, copy and remove jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, transaction

from .. import alerts
from ..core.audit import Action, current_actor
from ..core.exceptions import JobExists, JobNotFound
from ..core.runs import RunStatus
from ..definitions import validation
from ..definitions.skipped import save_skipped, skip_due
from ..definitions.triggers import is_over
from ..models import Job, Run, announce
from ..models.job import PAUSE_FIELDS
from ..records import history
from ..selectors.versions import whole_definition
from .schedule import anchor_at, first_fire_time, has_runs_left, next_after

logger = logging.getLogger("cronzimus.services.jobs")

UNIQUE_VIOLATION = "23505"
"""PostgreSQL's error code for a key that another row has (its manual, appendix A)."""
KEY_TAKEN = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
"""SQLite's names of the same error."""
Check = Callable[[int], None]
"""Takes the version of a locked job before a change, and raises if the job must not be changed."""
MENDING = {"func", "args", "kwargs", "max_runs"}
"""The fields, beside the trigger, whose change can put a job back on its schedule."""


def add_job(body: Mapping[str, Any], *, now: datetime, allow_past: bool = False) -> Job:
    """Add the job that `body` defines, flat as in the contract, and return it.

    With `allow_past` its time may have passed; the job is then completed at once. Raises a subclass of
    `InvalidRequest` that names every bad field, or `JobExists`.
    """
    cleaned = validation.clean_job(body, now=now, allow_past=allow_past)
    job = Job(**cleaned, anchor=anchor_at(now), created_at=now, updated_at=now)
    if job.paused:
        job.paused_at, job.paused_by = now, current_actor()
    job.next_run_time = None if job.paused or (allow_past and is_over(job, now)) else first_fire_time(job, now)
    try:
        with transaction.atomic():
            job.version = history.next_number(job.pk)
            job.save(force_insert=True)
            history.record_added(job, now=now)
            announce()
    except IntegrityError as error:
        if not _is_taken(error):
            raise
        message = f"a job with the id {job.id!r} exists already; PUT changes it"
        raise JobExists(message, fields={"id": "is taken"}) from error
    logger.info("job %s added", job.id, extra={"action": "job_added", "job": job.id})
    return job


def update_job(
    job_id: str,
    body: Mapping[str, Any],
    *,
    now: datetime,
    allow_past: bool = False,
    check: Check | None = None,
    reverted_to: int | None = None,
) -> Job:
    """Change the fields that `body` names, and return the job. Only another trigger and a pause change the schedule.

    Fire times that are due and not claimed are saved as skipped if the trigger changes, or the job is paused. With
    `allow_past` the time of the new trigger may have passed; the job is then completed. `reverted_to`, for the record,
    is the version whose definition `body` is. Raises `JobNotFound`, a subclass of `InvalidRequest` that names every
    bad field, and the errors of `check`.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        cleaned = validation.clean_job(body, now=now, job=job, allow_past=allow_past)
        if check is not None:
            check(job.version)
        names = validation.changed(job, cleaned)
        before, due = whole_definition(job), None
        if not {"trigger", "paused"}.isdisjoint(names):
            due = skip_due(job, now, what="given another trigger" if "trigger" in names else "paused")
        for name in names:
            setattr(job, name, cleaned[name])
        names += _reschedule(job, names, now, allow_past)
        if due is not None and job.next_run_time != due.scheduled_time:
            save_skipped(due)
        if names:
            if "paused" not in names:  # a pause is a new version by itself
                job.updated_at, job.version = now, job.version + 1
            job.save(update_fields=[*names, "updated_at", "version"])
            action = Action.JOB_REVERTED if reverted_to else Action.JOB_UPDATED
            history.record_change(job, before, now=now, action=action, reverted_to=reverted_to)
            announce()
    if names:
        logger.info("job %s updated", job.id, extra={"action": "job_updated", "job": job.id})
    return job


def remove_job(job_id: str, *, now: datetime, check: Check | None = None) -> None:
    """Remove a job. Its runs stay; those that no scheduler has taken are cancelled.

    Fire times that are due and not claimed are saved as skipped. Raises `JobNotFound`, and the errors of `check`.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        if check is not None:
            check(job.version)
        save_skipped(skip_due(job, now, what="removed"))
        history.record_removed(job_id, whole_definition(job), now=now)
        job.delete()
        # With `active`, SQLite looks for them among the active runs, and not among all runs of the job.
        Run.objects.active().waiting().filter(job_id=job_id).order_by().update(
            status=RunStatus.CANCELLED, reason="its job was removed", finished_at=now
        )
        announce()
    logger.info("job %s removed", job_id, extra={"action": "job_removed", "job": job_id})


def tag_job(job_id: str, *, add: Iterable[str], remove: Iterable[str], now: datetime) -> Job:
    """Add tags to a job and remove others, and return the job. Raises as `update_job` does."""
    with transaction.atomic():
        job = locked_job(job_id)
        tags = job.tags if isinstance(job.tags, list) else []
        wanted = [tag for tag in dict.fromkeys([*tags, *add]) if tag not in set(remove)]
        return update_job(job_id, {"tags": wanted}, now=now)


def duplicate_job(job_id: str, new_id: str, *, now: datetime) -> Job:
    """Add a paused copy of a job under `new_id`, and return it. Raises as `add_job` does, and `JobNotFound`."""
    job = get_job(job_id)
    body = {name: getattr(job, name) for name in (*validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS)}
    return add_job({**body, "id": new_id, "trigger": job.trigger, "paused": True}, now=now, allow_past=True)


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
    """Tell whether the database refused a row because another one has its key."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) == UNIQUE_VIOLATION or getattr(cause, "sqlite_errorname", None) in KEY_TAKEN


def _reschedule(job: Job, names: Collection[str], now: datetime, allow_past: bool) -> list[str]:
    """Set the next fire time of a job if a change of the fields `names` affects it; return the fields set."""
    if "paused" not in names:
        return _follow(job, names, now, allow_past)
    if job.paused:
        job.paused = False  # as before, so that an earlier pause until an instant counts from its start
        job.pause(now, by=current_actor())
    else:
        job.resume(now, next_run_time=None)
        alerts.forgive(job.pk)
    return [*PAUSE_FIELDS, *_follow(job, names, now, allow_past)]


def _follow(job: Job, names: Collection[str], now: datetime, allow_past: bool) -> list[str]:
    until = max(now, job.paused_until or now)
    if "trigger" in names:
        job.anchor, job.error = anchor_at(now), ""
        over = job.paused or (allow_past and is_over(job, now))
        job.next_run_time = None if over else first_fire_time(job, now) if until == now else next_after(job, until)
        return ["anchor", "error", "next_run_time"]
    if "paused" in names:
        job.next_run_time = None if job.paused else next_after(job, now)
        return ["next_run_time"]
    if job.next_run_time is None and not job.paused and has_runs_left(job) and not MENDING.isdisjoint(names):
        job.error, job.next_run_time = "", next_after(job, until)
        return ["error", "next_run_time"]
    if "max_runs" in names and not has_runs_left(job):
        job.next_run_time = None
        return ["next_run_time"]
    return []
