"""The record of each change of a job: a version with its whole definition, and an entry in the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection

from ..conf import conf
from ..core.audit import Action, Origin, current_origin
from ..core.json import is_same
from ..models import Job, JobVersion
from ..selectors.versions import FIELDS, Definition, whole_definition
from . import audit


def first_version(job: Job, *, now: datetime) -> int:
    """Save the definition of a new job as a version, and return the version's number.

    It is 1, or one more than the last version of a job that had the id before. Call it in the transaction that adds the
    job, before the job's row is saved.
    """
    number = _insert(job.pk, None, whole_definition(job), at=now, origin=current_origin(), action=Action.JOB_ADDED)
    if number > 1:
        JobVersion.objects.filter(job_id=job.pk).update(expires_at=None)
    return number


def record_added(job: Job, *, now: datetime) -> None:
    """Record that a job was added, with its values other than the defaults."""
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
    actor: str = "",
) -> None:
    """Save the definition of a changed job as its current version, and record the change.

    Args:
            job: the job, as it is stored after the change.
            before: its definition before the change.
            now: aware.
            action: the action.
            reverted_to: the version whose definition was restored, if one was.
            more: further changes to record, by field: the value before and the value after.
            actor: the person, if the caller knows it.
    """
    origin = current_origin()
    # A job that no service has saved, such as one of a fixture, has no version yet.
    _insert(job.pk, job.version - 1, before, at=job.created_at or now, origin=Origin(), action=Action.JOB_ADDED)
    after = whole_definition(job)
    who = Origin(actor=actor or origin.actor, door=origin.door)
    _insert(job.pk, job.version, after, at=now, origin=who, action=action, reverted_to=reverted_to)
    if job.version > conf.JOB_VERSIONS:
        JobVersion.objects.filter(job_id=job.pk, number__lte=job.version - conf.JOB_VERSIONS).delete()
    changes = {name: (before[name], after[name]) for name in FIELDS if not is_same(before[name], after[name])}
    audit.record(action, now=now, job_id=job.pk, object_id=reverted_to or "", changes=changes | dict(more or {}),
                 actor=actor)  # fmt: skip


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
    """Insert a version and return its number. A version that has the `number` already stays."""
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
def _insert_sql(columns: tuple[str, ...], following: bool) -> str:
    # Plain SQL, as in `audit`: each POST has one of these.
    table = JobVersion._meta.db_table
    last = f"(SELECT COALESCE(MAX(number), 0) + 1 FROM {table} WHERE job_id = %s)"  # noqa: S608
    places = ", ".join(["%s", last if following else "%s", *["%s"] * len(columns)])
    conflict = "" if following else "ON CONFLICT (job_id, number) DO NOTHING "
    return (
        f"INSERT INTO {table} (job_id, number, {', '.join(columns)}) VALUES ({places}) "  # noqa: S608
        f"{conflict}RETURNING number"
    )
