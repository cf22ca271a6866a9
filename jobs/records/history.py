"""The record of each change of a job: a version with its whole definition, and an entry in the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import PositiveIntegerField
from django.db.models.expressions import RawSQL

from ..conf import conf
from ..core.audit import Action, Origin, current_origin
from ..core.json import is_same
from ..models import Job, JobVersion
from ..selectors.versions import FIELDS, Definition, whole_definition
from . import audit

TABLE = JobVersion._meta.db_table
NEXT_NUMBER = f"(SELECT COALESCE(MAX(number), 0) + 1 FROM {TABLE} WHERE job_id = %s)"  # noqa: S608
OWN_NUMBER = f"(SELECT version FROM {Job._meta.db_table} WHERE id = %s)"  # noqa: S608


def next_number(job_id: str) -> RawSQL:
    """Return the expression for the version of a new job: 1, or one more than the last one of a job with that id."""
    return RawSQL(NEXT_NUMBER, [job_id], PositiveIntegerField())  # noqa: S611 (our own text; the id is a parameter)


def record_added(job: Job, *, now: datetime) -> None:
    """Save the definition of a new job as its current version, set `job.version`, and record that it was added.

    The row of the job comes first, as in every change: of two writers with the same id, one waits for the other.
    """
    job.version = _insert(job.pk, None, whole_definition(job), at=now, origin=current_origin(), action=Action.JOB_ADDED)
    if job.version > 1:
        JobVersion.objects.filter(job_id=job.pk).update(expires_at=None)
    defaults = _defaults()
    changes = {name: (None, value) for name, value in whole_definition(job).items() if value != defaults[name]}
    audit.record(Action.JOB_ADDED, now=now, job_id=job.pk, changes=changes)


def record_change(
    job: Job,
    before: Mapping[str, Any],
    *,
    now: datetime,
    action: Action,
    reverted_to: int | None = None,
    more: audit.Changes | None = None,
) -> None:
    """Save the definition of a changed job as its current version, and record the change.

    Args:
        job: the job, as it is stored after the change.
        before: its definition before the change.
        now: aware.
        action: the action.
        reverted_to: the version whose definition was restored, if one was.
        more: further changes to record, by field: the value before and the value after.
    """
    origin = current_origin()
    # A job that no service has saved, such as one of a fixture, has no version yet.
    _insert(job.pk, job.version - 1, before, at=job.created_at or now, origin=Origin(), action=Action.JOB_ADDED)
    after = whole_definition(job)
    _insert(job.pk, job.version, after, at=now, origin=origin, action=action, reverted_to=reverted_to)
    if job.version > conf.JOB_VERSIONS:
        JobVersion.objects.filter(job_id=job.pk, number__lte=job.version - conf.JOB_VERSIONS).delete()
    changes = {name: (before[name], after[name]) for name in FIELDS if not is_same(before[name], after[name])}
    audit.record(action, now=now, job_id=job.pk, object_id=reverted_to or "", changes=changes | dict(more or {}))


def record_removed(job_id: str, before: Mapping[str, Any], *, now: datetime) -> None:
    """Record that a job was removed. Its versions are kept as long as the entry of the audit."""
    expires_at = now + timedelta(days=conf.AUDIT_DAYS)
    JobVersion.objects.filter(job_id=job_id).update(expires_at=expires_at)
    defaults = _defaults()
    changes = {name: (value, None) for name, value in before.items() if value != defaults[name]}
    audit.record(Action.JOB_REMOVED, now=now, job_id=job_id, changes=changes)


@cache
def _defaults() -> Definition:
    return {field.name: field.get_default() for field in Job._meta.concrete_fields if field.name in FIELDS}


def _insert(
    job_id: str,
    number: int | None,
    definition: Mapping[str, Any],
    *,
    at: datetime,
    origin: Origin,
    action: Action,
    reverted_to: int | None = None,
) -> int:
    """Insert a version and return its number; None: that of the job's row. A version with the `number` stays."""
    values: dict[str, Any] = {
        "at": connection.ops.adapt_datetimefield_value(at), "actor": origin.actor[:254], "door": origin.door.value,
        "action": action.value, "reverted_to": reverted_to, "definition": json.dumps(definition, default=str),
    }  # fmt: skip
    numbered = [job_id] if number is None else [number]
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(tuple(values), number is None), [job_id, *numbered, *values.values()])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


@cache
def _insert_sql(columns: tuple[str, ...], of_job: bool) -> str:
    # Plain SQL, as in `audit`: each POST has one of these.
    places = ", ".join(["%s", OWN_NUMBER if of_job else "%s", *["%s"] * len(columns)])
    conflict = "" if of_job else "ON CONFLICT (job_id, number) DO NOTHING "
    return (
        f"INSERT INTO {TABLE} (job_id, number, {', '.join(columns)}) VALUES ({places}) "  # noqa: S608
        f"{conflict}RETURNING number"
    )
