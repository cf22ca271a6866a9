"""Rows that were damaged in the database: set right enough to be read, so that they stop nothing but themselves.

SQLite keeps whatever is written into a column, whatever the column's type. What can not be read as what it should be
would end each statement that meets it, and with it the work on all other rows. PostgreSQL refuses such values.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any, TypeAlias

from django.db import InterfaceError, OperationalError, connection, models, transaction

from ..core.runs import ACTIVE, RunStatus
from ..models import Job, Run
from .store.connection import odd_texts

logger = logging.getLogger("cronzimus.scheduler.repair")

Field: TypeAlias = "models.Field[Any, Any]"
"""A field of a model."""

BATCH = 100
"""Rows that are set right at a time."""
LOOKED_AT = 1000
"""Jobs that are looked at in one round of the `Inspector`; some milliseconds of work."""
ACTIVE_RUNS = f"status IN ({', '.join(repr(status.value) for status in ACTIVE)})"
"""The runs that a scheduler reads."""


def repair(now: datetime) -> int:
    """Set right the jobs and the active runs with values that are none of their column's; return how many there were.

    Such a value gets the column's default. The job is taken off its schedule, the run ends as failed, and both say
    what was found.
    """
    if connection.vendor != "sqlite":
        return 0
    repaired = [_repair_job(row, now) for row in _damaged(Job, "true")]
    repaired += [_repair_run(row, now) for row in _damaged(Run, ACTIVE_RUNS)]
    return len(repaired)


class Inspector:
    """Goes through the jobs, a few in each round: what nobody runs is to be read by the lists all the same."""

    def __init__(self) -> None:
        """Start with the first job."""
        self._after = 0

    def round(self, now: datetime) -> None:
        """Set right the damaged ones of the next `LOOKED_AT` jobs."""
        if connection.vendor != "sqlite":
            return
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(rowid), count(*) FROM "
                "(SELECT rowid FROM cronzimus_job WHERE rowid > %s ORDER BY rowid LIMIT %s)",
                [self._after, LOOKED_AT],
            )
            last, count = cursor.fetchone()
        if count:
            for row in _damaged(Job, f"rowid > {self._after} AND rowid <= {last}"):
                _repair_job(row, now)
        self._after = last if count == LOOKED_AT else 0


def repair_hidden(now: datetime) -> None:
    """Set right what raises nothing: an instant that is none, and that sorts before all others, hides what is due."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM cronzimus_job "
            "WHERE next_run_time IS NOT NULL AND next_run_time < '0000-') OR "
            "EXISTS (SELECT 1 FROM cronzimus_run WHERE status = 'queued' AND scheduler_id IS NULL "
            "AND COALESCE(available_at, queued_at) < '0000-')"
        )
        (found,) = cursor.fetchone()
    if found:
        repair(now)


def repair_after(error: Exception, now: datetime) -> None:
    """Set right what may have raised `error`, unless the database itself is what is wrong. Never raises."""
    if isinstance(error, OperationalError | InterfaceError):
        if "decode to UTF-8" in str(error):
            odd_texts.set()
        return
    try:
        repair(now)
    except Exception:
        connection.close()
        logger.exception("damaged rows can not be set right", extra={"action": "repair_failed"})


def _damaged(model: type[models.Model], condition: str) -> list[dict[str, Any]]:
    """Return rowid, id and the damaged values of rows, by their columns."""
    fields = _fields(model)
    found = ", ".join(f"CASE WHEN {_is_damaged(field)} THEN quote({field.attname}) END" for field in fields)
    where = " OR ".join(_is_damaged(field) for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT rowid, {found} FROM {model._meta.db_table} WHERE {condition} AND ({where}) LIMIT {BATCH}"  # noqa: S608
        )
        names = ("rowid", *(field.attname for field in fields))
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _fields(model: type[models.Model]) -> list[Field]:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def _is_damaged(field: Field) -> str:
    column = field.attname
    if isinstance(field, models.DateTimeField):
        wrong = f"(typeof({column}) <> 'text' OR datetime({column}) IS NULL)"
    elif isinstance(field, models.BooleanField):
        wrong = f"(typeof({column}) <> 'integer' OR {column} NOT IN (0, 1))"
    elif isinstance(field, models.IntegerField):
        _, most = connection.ops.integer_field_range(field.get_internal_type())
        wrong = f"(typeof({column}) <> 'integer' OR abs({column}) > {most or 2**63 - 1})"
    elif field.name == "executor":
        wrong = f"{column} NOT IN ('thread', 'process')"
    else:
        wrong = f"typeof({column}) <> 'text'"
    return f"({column} IS NOT NULL AND {wrong})" if field.null else wrong


def _repair_job(row: dict[str, Any], now: datetime) -> str:
    error = _what(row)
    values = _values(Job, row, now) | {"next_run_time": None, "error": error}
    return _write(Job, row, values, error)


def _repair_run(row: dict[str, Any], now: datetime) -> str:
    error = _what(row)
    values = _values(Run, row, now) | {"status": RunStatus.FAILED, "finished_at": now, "error": error}
    return _write(Run, row, values, error)


def _values(model: type[models.Model], row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return what takes the place of the damaged values: nothing where that may be, or the default, or this instant."""
    damaged = [field for field in _fields(model) if row[field.attname] is not None]
    return {
        field.attname: None if field.null else now if isinstance(field, models.DateTimeField) else field.get_default()
        for field in damaged
    }


def _what(row: dict[str, Any]) -> str:
    damaged = {column: value for column, value in row.items() if column != "rowid" and value is not None}
    return "its row was damaged: " + ", ".join(f"{column} was {value[:60]}" for column, value in damaged.items())


@transaction.atomic
def _write(model: type[models.Model], row: dict[str, Any], values: dict[str, Any], error: str) -> str:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    assigned = ", ".join(f"{column} = %s" for column in values)
    prepared = [fields[column].get_db_prep_save(value, connection) for column, value in values.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {model._meta.db_table} SET {assigned} WHERE rowid = %s",  # noqa: S608
            [*prepared, row["rowid"]],
        )
    logger.error("%s: %s", model._meta.verbose_name, error, extra={"action": "row_repaired"})
    return error
