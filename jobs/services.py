"""The writes that people ask for, in the admin, over the API or by commands: each is one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DataError, IntegrityError, transaction

from jobs import definitions, registry
from jobs.core.exceptions import CronzimusError, JobExists, JobNotFound
from jobs.core.runs import RunStatus, RunTrigger
from jobs.models import Job, Run, announce

logger = logging.getLogger(__name__)

LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)


def add_job(body: Mapping[str, Any], *, now: datetime, paused: bool = False) -> Job:
    """Add the job that `body` defines, flat as in the contract, and return it.

    Raises a subclass of `InvalidRequest` naming every bad field, or `JobExists`.
    """
    cleaned = definitions.clean_job(body, now=now)
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

    Raises `JobNotFound`, or a subclass of `InvalidRequest` naming every bad field.
    """
    with transaction.atomic():
        job = _locked(job_id)
        cleaned = definitions.clean_job(body, now=now, job=job)
        names = definitions.changed(job, cleaned)
        for name in names:
            setattr(job, name, cleaned[name])
        if "trigger" in names:
            names += _reschedule(job, now)
        if names:
            job.updated_at = now
            job.save(update_fields=[*names, "updated_at"])
            announce()
    logger.info("job %s updated", job.id, extra={"action": "job_updated", "job": job.id})
    return job


def pause_job(job_id: str, *, now: datetime) -> Job:
    """Stop a job's trigger; its active runs go on. A paused job stays as it is. Raises `JobNotFound`."""
    with transaction.atomic():
        job = _locked(job_id)
        if not job.paused:
            job.paused, job.next_run_time, job.updated_at = True, None, now
            job.save(update_fields=["paused", "next_run_time", "updated_at"])
            announce()
    return job


def resume_job(job_id: str, *, now: datetime) -> Job:
    """Start a paused job's trigger again, from `now`: what was missed during the pause does not fire.

    A job that is not paused stays as it is. Raises `JobNotFound`, and `InvalidTrigger` where its row is damaged.
    """
    with transaction.atomic():
        job = _locked(job_id)
        if job.paused:
            job.next_run_time = definitions.trigger_of(job).next_after(now)
            job.paused, job.updated_at = False, now
            job.save(update_fields=["paused", "next_run_time", "updated_at"])
            announce()
    return job


def remove_job(job_id: str, *, now: datetime) -> None:
    """Remove a job; its runs stay on record, and those that no scheduler has taken yet are cancelled.

    Raises `JobNotFound`.
    """
    with transaction.atomic():
        _locked(job_id).delete()
        Run.objects.waiting().filter(job_id=job_id).order_by().update(
            status=RunStatus.CANCELLED, reason="its job was removed", finished_at=now
        )
        announce()
    logger.info("job %s removed", job_id, extra={"action": "job_removed", "job": job_id})


def run_job(job_id: str, *, now: datetime, actor: str = "", args: object = None, kwargs: object = None) -> Run:
    """Queue a run of a job, to be started at once, paused or not; `args` and `kwargs` take the place of the job's own.

    Raises `JobNotFound`, and `InvalidFunction` or `InvalidArguments` where it could not run.
    """
    with transaction.atomic():
        job = _locked(job_id)
        function = registry.lookup(job.func)
        given = definitions.clean_arguments(
            function, job.args if args is None else args, job.kwargs if kwargs is None else kwargs
        )
        run = Run(
            job=job, func=job.func, status=RunStatus.QUEUED, trigger=RunTrigger.MANUAL, actor=actor,
            scheduled_time=_free_instant(job, now), queued_at=now, executor=job.executor,
            args=given[0], kwargs=given[1],
        )  # fmt: skip
        run.save(force_insert=True)
        announce()
    logger.info("run %s of job %s queued", run.pk, job_id, extra={"action": "run_queued", "run": run.pk, "job": job_id})
    return run


def duplicate_job(job_id: str, new_id: str, *, now: datetime) -> Job:
    """Add a paused copy of a job under `new_id`, and return it. Raises as `add_job` does, and `JobNotFound`."""
    job = get_job(job_id)
    body = {name: getattr(job, name) for name in (*definitions.DEFINITION_FIELDS, *definitions.POLICY_FIELDS)}
    return add_job({**body, "id": new_id, "trigger": job.trigger}, now=now, paused=True)


def sync_declared_jobs(declarations: Iterable[Mapping[str, Any]], *, now: datetime) -> None:
    """Make the jobs that settings.JOBS declares: add those that are not there, change those declared anew.

    A job is changed only when its declaration is not the one that it was last made from, so that what people
    edited, paused or let run since stays as it is. Raises `InvalidRequest` for a declaration that is not valid, with
    its place in the list.
    """
    for index, declaration in enumerate(declarations):
        try:
            _sync_declared_job(dict(declaration), now)
        except CronzimusError as error:
            fields = {f"JOBS[{index}].{name}": message for name, message in error.fields.items()}
            raise type(error)(fields=fields or {f"JOBS[{index}]": str(error)}) from error


def get_job(job_id: str) -> Job:
    """Return the job `job_id`. Raises `JobNotFound`."""
    try:
        return Job.objects.get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL has no NUL in its texts
        raise _not_found(job_id) from error


def _sync_declared_job(declaration: dict[str, Any], now: datetime) -> None:
    job_id = declaration.get("id")
    try:
        job = get_job(job_id if isinstance(job_id, str) else "")
    except JobNotFound:
        job = None
    if job is not None and job.declaration == declaration:
        return
    try:
        if job is None:
            job = add_job(declaration, now=now)
        else:
            job = update_job(job.id, {name: declaration[name] for name in declaration if name != "id"}, now=now)
    except JobExists:
        return  # another scheduler that starts at the same time was first
    Job.objects.filter(pk=job.pk).update(declaration=declaration)


def _locked(job_id: str) -> Job:
    # The claims lock the job's row too: an edit, a pause or a removal comes before a claim or after it, never between.
    try:
        return Job.objects.select_for_update().get(pk=job_id)
    except (Job.DoesNotExist, ValueError, DataError) as error:  # PostgreSQL has no NUL in its texts
        raise _not_found(job_id) from error


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"there is no job {job_id[:64]!r}".encode("utf-8", "backslashreplace").decode())


def _reschedule(job: Job, now: datetime) -> list[str]:
    job.anchor, job.error = _anchor(now), ""
    job.next_run_time = None if job.paused else _first_fire_time(job, now)
    return ["anchor", "error", "next_run_time"]


def _first_fire_time(job: Job, now: datetime) -> datetime | None:
    # A date that was accepted although it has just gone by is due at once.
    once = job.trigger["type"] == "date"
    return definitions.trigger_of(job).next_after(LONG_AGO if once else now)


def _anchor(now: datetime) -> datetime:
    # Whole seconds: fire times are easier to read, and mean the same to every database.
    return now.replace(microsecond=0)


def _free_instant(job: Job, now: datetime) -> datetime:
    # Two people may ask within one microsecond; under the job's lock the next free instant stays free. Nor may a fire
    # time be taken that is still to be claimed: its own run could not be written beside this one.
    while _is_due_at(job, now) or Run.objects.filter(job_id=job.id, scheduled_time=now).exists():
        now += timedelta(microseconds=1)
    return now


def _is_due_at(job: Job, instant: datetime) -> bool:
    if job.next_run_time is None or job.next_run_time > instant:
        return False
    try:
        return definitions.trigger_of(job).count(instant - timedelta(microseconds=1), instant) > 0
    except CronzimusError:
        return False
