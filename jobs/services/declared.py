"""Make the jobs that the settings declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from ..core.exceptions import CronzimusError, InvalidFunction, InvalidRequest, JobExists, JobNotFound
from ..core.json import is_same
from ..definitions import validation
from ..definitions.policies import default_policies
from ..functions import registry
from ..models import Job
from .jobs import add_job, get_job, update_job


@transaction.atomic
def sync_declared_jobs(declarations: Iterable[Mapping[str, Any]], *, now: datetime) -> None:
    """Make the jobs that conf.JOBS declares: add those that are not there, change those declared anew.

    A job is changed only when its declaration is not the one that it was last made from, so that what people edited,
    paused or let run since stays as it is. Then what the declaration names holds, and what it named before and names no
    more gets its default again, unless somebody edited it since. Raises a subclass of `InvalidRequest` that names every
    bad field of every declaration, with its place in the list; then nothing is changed.
    """
    seen: set[object] = set()
    errors: list[CronzimusError] = []
    for index, declaration in enumerate(declarations):
        try:
            if str(declaration.get("id")) in seen:
                raise InvalidRequest(fields={"id": "is declared twice"})
            seen.add(str(declaration.get("id")))
            _sync_declared_job(dict(declaration), now)
        except CronzimusError as error:
            fields = {f"JOBS[{index}].{name}": message for name, message in error.fields.items()}
            errors.append(type(error)(fields=fields or {f"JOBS[{index}]": str(error)}))
    if errors:
        raise type(errors[0])(fields={name: text for error in errors for name, text in error.fields.items()})


def _sync_declared_job(declaration: dict[str, Any], now: datetime) -> None:
    job_id = declaration.get("id")
    try:
        job: Job | None = get_job(job_id if isinstance(job_id, str) else "")
    except JobNotFound:
        job = None
    if job is not None and is_same(job.declaration, declaration):
        return
    try:
        if job is None:
            job = add_job(declaration, now=now)
        else:
            named = {name: declaration[name] for name in declaration if name != "id"}
            job = update_job(job.id, _dropped(job, declaration, now) | named, now=now)
    except JobExists:
        return  # another scheduler that starts at the same time was first
    Job.objects.filter(pk=job.pk).update(declaration=declaration)


def _dropped(job: Job, declaration: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the defaults of what the last declaration of `job` named and `declaration` does not.

    Not of what somebody edited since: that is theirs. The fields of the trigger are not among it; they come as one.
    """
    defaults = _defaults(declaration.get("func", job.func))
    before = job.declaration if isinstance(job.declaration, dict) else {}
    dropped = [name for name in before if name in defaults and name not in declaration]
    try:
        made = validation.clean_job({name: before[name] for name in dropped}, now=now, job=job)
    except CronzimusError:
        return {}  # what it once said means nothing now, and so nobody can tell what was edited
    return {name: defaults[name] for name in dropped if is_same(getattr(job, name), made[name])}


def _defaults(func: object) -> dict[str, Any]:
    defaults = {"description": "", "tags": [], "args": [], "kwargs": {}, **default_policies()}
    try:
        return defaults | {"name": registry.lookup(func).name}
    except InvalidFunction:
        return defaults
