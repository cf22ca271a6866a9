"""Repair damaged rows on SQLite, so that each stops only itself: its job becomes broken, and lists answer.

SQLite keeps any value in any column. A value of the wrong type ends every statement that reads it, and so the work on
all other rows. PostgreSQL refuses such values.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, TypeAlias

from django.db import InterfaceError, OperationalError, connection, models
from django.db.models.expressions import RawSQL

from ...core.runs import Executor, RunStatus
from ...models import Job, Run
from .connection import invalid_utf8_seen
from .held import ACTIVE_SQL

logger = logging.getLogger("cronzimus.scheduler.store.repair")

Field: TypeAlias = "models.Field[Any, Any]"

BATCH = 100
"""Rows repaired at a time."""
JOBS_PER_ROUND = 1000
"""Jobs that the `Inspector` checks in one round, which takes some milliseconds."""


def repair(now: datetime) -> int:
    """Repair jobs and active runs that hold values of the wrong type; return their number.

    Such a value becomes null, or its column's default. The job is taken off its schedule, the run ends as failed, and
    the `error` of both names the values found.
    """
    return _repair_jobs("true", now) + _repair_active_runs(now) if connection.vendor == "sqlite" else 0


def repair_after(error: Exception, now: datetime) -> None:
    """Repair the rows that may have raised `error`, unless the database itself failed. Never raises."""
    if isinstance(error, OperationalError | InterfaceError):
        if "decode to UTF-8" in str(error):
            invalid_utf8_seen.set()
        return
    try:
        repair(now)
    except Exception:
        connection.close()
        logger.exception("damaged rows cannot be repaired", extra={"action": "repair_failed"})


class Inspector:
    """Repairs jobs that no claim reads, some in each round, because lists read them."""

    def __init__(self) -> None:
        """Start with the first job."""
        self._after = 0

    def work(self, now: datetime) -> None:
        """Repair damaged jobs among the next `JOBS_PER_ROUND`."""
        if connection.vendor != "sqlite":
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(rowid), count(*) FROM "
                "(SELECT rowid FROM cronzimus_job WHERE rowid > %s ORDER BY rowid LIMIT %s)",
                [self._after, JOBS_PER_ROUND],
            )
            last, count = cursor.fetchone()
        if count:
            _repair_jobs(f"rowid > {self._after} AND rowid <= {last}", now)
        self._after = last if count == JOBS_PER_ROUND else 0


def _repair_jobs(condition: str, now: datetime) -> int:
    damaged = _damaged_rows(Job, condition)
    for rowid, values in damaged:
        _repair_row(Job, rowid, values, now, next_run_time=None)
    return len(damaged)


def _repair_active_runs(now: datetime) -> int:
    damaged = _damaged_rows(Run, f"status IN ({ACTIVE_SQL})")
    for rowid, values in damaged:
        _repair_row(Run, rowid, values, now, status=RunStatus.FAILED, finished_at=now)
    return len(damaged)


def _damaged_rows(model: type[models.Model], condition: str) -> list[tuple[int, dict[Field, str]]]:
    """Return the rowids of damaged rows, each with its damaged values as SQL literals."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    found = ", ".join(f"CASE WHEN {_is_damaged(field)} THEN quote({field.attname}) END" for field in fields)
    where = " OR ".join(_is_damaged(field) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT rowid, {found} FROM {model._meta.db_table} WHERE {condition} AND ({where}) LIMIT {BATCH}"  # noqa: S608
        )
        return [
            (rowid, {field: value for field, value in zip(fields, values, strict=True) if value is not None})
            for rowid, *values in cursor.fetchall()
        ]


def _is_damaged(field: Field) -> str:
    column = field.attname
    if isinstance(field, models.DateTimeField):
        wrong = f"(typeof({column}) <> 'text' OR datetime({column}) IS NULL)"
    elif isinstance(field, models.BooleanField):
        wrong = f"(typeof({column}) <> 'integer' OR {column} NOT IN (0, 1))"
    elif isinstance(field, models.IntegerField):
        _, highest = connection.ops.integer_field_range(field.get_internal_type())
        wrong = f"(typeof({column}) <> 'integer' OR abs({column}) > {highest or 2**63 - 1})"
    elif field.name == "executor":
        wrong = f"{column} NOT IN ({', '.join(repr(name.value) for name in Executor)})"
    else:
        wrong = f"typeof({column}) <> 'text'"
    return f"({column} IS NOT NULL AND {wrong})" if field.null else wrong


def _repair_row(model: type[models.Model], rowid: int, damaged: dict[Field, str], now: datetime, **marks: Any) -> None:
    found = ", ".join(f"{field.attname} was {value[:60]}" for field, value in damaged.items())
    error = f"its row was damaged: {found}"
    values = {field.attname: _replacement(field, now) for field in damaged} | marks | {"error": error}
    row = RawSQL("rowid = %s", [rowid], models.BooleanField())
    model._default_manager.filter(row).update(**values)
    logger.error("%s: %s", model._meta.verbose_name, error, extra={"action": "row_repaired"})


def _replacement(field: Field, now: datetime) -> Any:
    if field.null or isinstance(field, models.DateTimeField):
        return None if field.null else now
    default = field.get_default()
    return "" if default is None else default
