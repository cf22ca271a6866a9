"""Export jobs as the bodies that create them again: for files, for bulk export, and for a copy on another site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..conf import conf
from ..core.exceptions import InvalidFunction
from ..definitions.policies import POLICIES
from ..functions import registry
from ..models import Job

EMPTY: dict[str, Any] = {"description": "", "owner": "", "tags": [], "args": [], "kwargs": {}}
"""The defaults of fields that are not policies."""


def definition_of(job: Job) -> dict[str, Any]:
    """Return the body that creates `job` again, without fields that have their default.

    A policy is left out only if it has the model's default and JOB_DEFAULTS does not name it, so that the job is the
    same on a site with other JOB_DEFAULTS.
    """
    body: dict[str, Any] = {"id": job.id}
    if job.name != _default_name(job.func):
        body["name"] = job.name
    body["func"] = job.func
    body |= {name: getattr(job, name) for name, empty in EMPTY.items() if getattr(job, name) != empty}
    body["trigger"] = job.trigger
    defaults = {field.name: field.get_default() for field in Job._meta.concrete_fields if field.name in POLICIES}
    for name, default in defaults.items():
        value = getattr(job, name)
        if value != default or name in conf.JOB_DEFAULTS:
            body[name] = value
    if job.paused:
        body["paused"] = True
    return body


def definitions_of(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """Return the bodies of `jobs`, in their order."""
    return [definition_of(job) for job in jobs]


def _default_name(func: str) -> str:
    try:
        return registry.lookup(func).name
    except InvalidFunction:
        return ""
