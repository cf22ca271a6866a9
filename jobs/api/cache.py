"""The caches of the API, which show the same as a fresh query would.

Without each of them, the benchmark misses its goal (`benchmarks/api.py`; docs/performance.md has the table). Rates are
shares of the rate of an empty view in the same run, on SQLite and on PostgreSQL:

| kept | request | with it | without it | goal |
|---|---|---|---|---|
| the last page of the list, by thread | the list, unchanged | 0.58, 0.44 | 0.10, 0.09 | 0.29 |
| the statement that reads one job | one job | 0.61, 0.59 | 0.40, 0.35 | 0.49 |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import local
from typing import Any, Generic, NamedTuple, TypeVar

from django.conf import settings
from django.db import DataError, connection

from .. import services
from ..core.exceptions import InvalidFunction
from ..core.runs import Executor
from ..core.secrets import KEY as SECRET
from ..functions import registry
from ..models import Job

MAX_KEPT_BYTES = 1_000_000
"""Bytes of a page that a thread keeps, at most."""
MAX_SHOWN_BYTES = 8192
"""Bytes of a job's JSON that are kept, at most."""
MAX_SHOWN = 1024
"""Jobs whose JSON is kept."""
VERSION_SQL = {
    "sqlite": "PRAGMA data_version",
    "postgresql": "SELECT sha256(string_agg(tidsend(ctid) || xidsend(xmin), ''::bytea)) FROM cronzimus_job",
}
"""A value that changes with every commit (SQLite), or with every commit that changes a job (PostgreSQL).

PostgreSQL never changes a row, but writes another version of it, which its place and its transaction identify.
"""

# --- the last page of the list ---------------------------------------------------------------------------------------

Made = TypeVar("Made")
"""The type of a page."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[Made]):
    """The last page of a thread, and all that it depends on."""

    page: Made
    made_from: tuple[object, ...]
    version: tuple[object, ...]
    made_at: Any
    until: Any


_last = local()


def kept_page(made_from: tuple[object, ...], version: tuple[object, ...] | None, instant: Any) -> Any:
    """Return the last page of this thread, if it would make the same one at `instant`; else None.

    `made_from` has the request and the descriptions of rows, `version` is that of the jobs. `instant` has the form of
    the database.
    """
    kept: Kept[Any] | None = getattr(_last, "kept", None)
    if kept is None or kept.version != version or kept.made_from != made_from:
        return None
    is_same = kept.made_at <= instant and (kept.until is None or instant < kept.until)
    return kept.page if is_same else None


def keep_page(page: Made, size: int, made_from: tuple[object, ...], version: Any, made_at: Any, until: Any) -> None:
    """Keep a page of `size` bytes. `until` is the end of the first pause on it, None if it shows none."""
    is_time = until is None or isinstance(until, type(made_at))  # SQLite keeps anything in a column for times
    if version is not None and size <= MAX_KEPT_BYTES and is_time:
        _last.kept = Kept(page, made_from, version, made_at, until)


def jobs_version() -> tuple[object, ...] | None:
    """Return a value that stays the same on this thread's connection while no job changes.

    None within a transaction, whose own writes it might not show.
    """
    if connection.in_atomic_block:
        return None
    with connection.cursor() as cursor:
        cursor.execute(VERSION_SQL[connection.vendor])
        (version,) = cursor.fetchone()
    # `data_version` counts only the commits of other connections; `total_changes` counts this one's.
    return connection.connection, version, getattr(connection.connection, "total_changes", None)


# --- one job ---------------------------------------------------------------------------------------------------------

Row = tuple[Any, ...]
"""The columns of a job."""


class Statement(NamedTuple):
    """The SQL that reads a job, and the converters and positions of its columns."""

    sql: str
    names: list[str]
    converters: dict[int, tuple[list[Any], Any]]
    func: int
    executor: int
    paused_until: int
    arguments: tuple[int, ...]


Shown = tuple[bytes, str]
"""A job's JSON, and its entity tag."""
_shown: dict[tuple[object, ...], Shown] = {}


def show_job(job_id: str, now: datetime, show: Callable[[Job, datetime], Shown], *, hides: bool) -> Shown:
    """Return `show(job, now)` for the job `job_id`; with `hides` it masks secrets. Raises `JobNotFound`."""
    statement = _statement(connection.vendor)
    row = _read(statement, job_id)
    key = _key(statement, row, now, hides)
    shown = None if key is None else _shown.get(key)
    if shown is None:
        shown = show(_job(statement, row), now)
        if key is not None and len(shown[0]) <= MAX_SHOWN_BYTES:
            if len(_shown) >= MAX_SHOWN:
                _shown.clear()
            _shown[key] = shown
    return shown


def _key(statement: Statement, row: Row, now: datetime, hides: bool) -> tuple[object, ...] | None:
    """Return the key of a job's JSON: the row, the function, the time zone, and the day, on which warnings depend.

    None if it depends on the instant too, on what is missing, or on secrets or workers, which may be there a moment
    later.
    """
    if row[statement.paused_until] is not None or row[statement.executor] == Executor.CELERY:
        return None
    if any(SECRET in str(row[place]) for place in statement.arguments):
        return None
    try:
        return row, registry.lookup(row[statement.func]), settings.TIME_ZONE, now.date(), hides
    except InvalidFunction:
        return None


def _read(statement: Statement, job_id: str) -> Row:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement.sql, [job_id])
            row: Row | None = cursor.fetchone()
    except (ValueError, DataError):  # an id that the database cannot even compare
        row = None
    if row is None:
        raise services.job_not_found(job_id)
    return row


def _job(statement: Statement, row: Row) -> Job:
    values = list(row)
    for index, (steps, column) in statement.converters.items():
        for convert in steps:
            values[index] = convert(values[index], column, connection)
    return Job.from_db(connection.alias, statement.names, values)


@lru_cache(maxsize=2)
def _statement(vendor: str) -> Statement:
    compiler = Job.objects.filter(pk="").order_by().query.get_compiler(connection=connection)
    sql, _ = compiler.as_sql()
    columns: list[Any] = [column for column, *_ in compiler.select]
    names = [column.target.attname for column in columns]
    return Statement(
        sql,
        names,
        compiler.get_converters(columns),
        names.index("func"),
        names.index("executor"),
        names.index("paused_until"),
        (names.index("args"), names.index("kwargs")),
    )
