"""Make the jobs that the settings declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from jobs.core.exceptions import CronzimusError, InvalidRequest, JobExists, JobNotFound
from jobs.models import Job

from .jobs import add_job, get_job, update_job


def sync_declared_jobs(declarations: Iterable[Mapping[str, Any]], *, now: datetime) -> None:
    """Make the jobs that settings.JOBS declares: add those that are not there, change those declared anew.

    A job is changed only when its declaration is not the one that it was last made from, so that what people
    edited, paused or let run since stays as it is. Raises `InvalidRequest` for a declaration that is not valid, with
    its place in the list.
    """
    seen: set[object] = set()
    for index, declaration in enumerate(declarations):
        try:
            if str(declaration.get("id")) in seen:
                raise InvalidRequest(fields={"id": "is declared twice"})
            seen.add(str(declaration.get("id")))
            _sync_declared_job(dict(declaration), now)
        except CronzimusError as error:
            fields = {f"JOBS[{index}].{name}": message for name, message in error.fields.items()}
            raise type(error)(fields=fields or {f"JOBS[{index}]": str(error)}) from error


def _sync_declared_job(declaration: dict[str, Any], now: datetime) -> None:
    job_id = declaration.get("id")
    try:
        job: Job | None = get_job(job_id if isinstance(job_id, str) else "")
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
