"""Record the actions of people, each in its own transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Any

from django.db import connection

from ..core.audit import Action, current_origin
from ..core.secrets import MASK, masked
from ..models import AuditEvent

MAX_TEXT = 10_000
"""Characters kept of one text."""

Changes = Mapping[str, tuple[Any, Any]]
"""The value before and the value after, by field."""


def record(
    action: Action,
    *,
    now: datetime,
    job_id: str = "",
    object_id: object = "",
    changes: Changes | None = None,
    hide: Iterable[str] = (),
) -> None:
    """Record an action, with its origin (`core.audit`). Call it in the transaction of the change.

    Args:
        action: the action.
        now: its instant, aware.
        job_id: its job, "" for none.
        object_id: its other object, such as a run.
        changes: the value before and the value after, by field; None stands for no value. Probable secrets are masked.
        hide: the fields whose values are always masked.
    """
    origin = current_origin()
    hidden = set(hide)
    shown = {name: [_shown(name, value, name in hidden) for value in pair] for name, pair in (changes or {}).items()}
    values = {
        "at": connection.ops.adapt_datetimefield_value(now),
        "actor": _cut("actor", origin.actor),
        "door": origin.door.value,
        "token": _cut("token", origin.token),
        "address": _cut("address", origin.address),
        "request_id": _cut("request_id", origin.request_id),
        "action": action.value,
        "job_id": _cut("job_id", job_id),
        "object_id": _cut("object_id", str(object_id)),
        "changes": json.dumps(shown),
    }
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(tuple(values)), list(values.values()))


@cache
def _insert_sql(columns: tuple[str, ...]) -> str:
    # Plain SQL: Django takes longer to build this statement than the database to run it, and each POST has one.
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {AuditEvent._meta.db_table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608


@cache
def _length(column: str) -> int:
    return next(int(field.max_length or 0) for field in AuditEvent._meta.concrete_fields if field.name == column)


def _cut(column: str, text: str) -> str:
    return text[: _length(column)].replace("\x00", "")


def _shown(name: str, value: Any, hide: bool) -> Any:
    shown = masked({name: _plain(value)})[name]
    if hide and shown:
        return MASK
    return f"{shown[:MAX_TEXT]}…" if isinstance(shown, str) and len(shown) > MAX_TEXT else shown


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | list | Mapping | None) else str(value)
