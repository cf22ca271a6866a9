"""The jobs that the settings declare."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from ..core.audit import Door, Origin, acting
from ..core.exceptions import CronzimusError, InvalidFunction, InvalidRequest, JobExists, JobNotFound
from ..core.json import is_same
from ..definitions import validation
from ..definitions.policies import default_policies
from ..definitions.triggers import is_over
from ..functions import registry
from ..models import Job
from .jobs import add_job, get_job, update_job

logger = logging.getLogger("cronzimus.services.declared")


@transaction.atomic
def sync_declared_jobs(declarations: Iterable[Mapping[str, Any]], *, now: datetime) -> None:
    """Add the jobs that conf.JOBS declares, and change those whose declaration has changed.

    A job whose declaration has not changed stays as people have left it. Otherwise the fields that the declaration
    names are set. A field that it no longer names gets its default again, unless somebody has edited it since. A job
    whose time has passed is completed, with a warning.

    Raises a subclass of `InvalidRequest` that names every bad field of every declaration, with its place in the list;
    nothing is changed then.
    """
    with acting(Origin(door=Door.SETTINGS)):
        _sync(declarations, now)


def _sync(declarations: Iterable[Mapping[str, Any]], now: datetime) -> None:
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
            job = add_job(declaration, now=now, allow_past=True)
        else:
            named = {name: declaration[name] for name in declaration if name != "id"}
            job = update_job(job.id, _defaults_again(job, declaration, now) | named, now=now, allow_past=True)
    except JobExists:
        return  # another scheduler that starts at the same time has added it
    Job.objects.filter(pk=job.pk).update(declaration=declaration)
    if job.next_run_time is None and not job.paused and is_over(job, now):
        logger.warning(
            "declared job %s is completed: its trigger does not fire after now", job.pk,
            extra={"action": "declared_job_over", "job": job.pk},
        )  # fmt: skip


def _defaults_again(job: Job, declaration: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the defaults of the fields that the last declaration of `job` named and `declaration` does not.

    Fields that somebody has edited since are left out, and so are those of the trigger, which is declared as a whole.
    """
    defaults = _defaults(declaration.get("func", job.func))
    before = job.declaration if isinstance(job.declaration, dict) else {}
    dropped = [name for name in before if name in defaults and name not in declaration]
    try:
        made = validation.clean_job({name: before[name] for name in dropped}, now=now, job=job)
    except CronzimusError:
        return {}  # the last declaration is no longer valid, so edits cannot be found
    return {name: defaults[name] for name in dropped if is_same(getattr(job, name), made[name])}


def _defaults(func: object) -> dict[str, Any]:
    defaults = {
        "description": "", "owner": "", "tags": [], "args": [], "kwargs": {}, "paused": False, **default_policies()
    }  # fmt: skip
    try:
        return defaults | {"name": registry.lookup(func).name}
    except InvalidFunction:
        return defaults
