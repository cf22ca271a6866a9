"""Restore a version of a job's definition."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..core.exceptions import JobNotFound
from ..models import Job
from ..selectors.versions import FIELDS, version_of
from .jobs import Check, add_job, update_job


def revert_job(
    job_id: str, number: int, *, now: datetime, check: Check | None = None, before_add: Callable[[], None] | None = None
) -> Job:
    """Restore the definition that a job had as version `number`, as a new version, and return the job.

    A pause stays as it is. A removed job is added again, paused. If its time has passed, it is completed. Raises
    `VersionNotFound`, a subclass of `InvalidRequest` if the definition is no longer valid, and the errors of `check`
    and of `before_add`, which is called before a removed job is added again.
    """
    kept = version_of(job_id, number).definition
    body: dict[str, Any] = {name: kept[name] for name in FIELDS if name in kept and name != "paused"}
    try:
        return update_job(job_id, body, now=now, allow_past=True, check=check, reverted_to=number)
    except JobNotFound:
        if before_add is not None:
            before_add()
        return add_job({**body, "id": job_id, "paused": True}, now=now, allow_past=True)
