"""One job, by its id, as JSON: made anew where its row is not the one that it was made of before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DataError, connection

from .. import services
from ..core.exceptions import InvalidFunction
from ..functions import registry
from ..models import Job
from .rendering import to_json
from .representations import job_detail

Row = tuple[Any, ...]
"""The columns of a job."""
Key = tuple[Row, registry.Function, str, date]
"""What the JSON of a job is made of: warnings of changes of the clock depend on the day."""

KEPT = 8192
"""Bytes of a job that are kept at the most, for the next request to find it unchanged."""
MOST = 1024
"""Jobs that are kept at the most."""

_shown: dict[Key, bytes] = {}


class Statement(NamedTuple):
    """What Django works out for each query, worked out once: how a row is read, and what makes a job of it."""

    sql: str
    names: list[str]
    converters: dict[int, tuple[list[Any], Any]]
    func: int
    paused_until: int


def show_job(job_id: str, now: datetime) -> bytes:
    """Return a job at `now` as JSON. Raises `JobNotFound`."""
    row = _read(job_id)
    if row is None:
        return _made(services.get_job(job_id), now)
    key = _key(row, now)
    body = None if key is None else _shown.get(key)
    if body is None:
        body = _made(_job(row), now)
        if key is not None and len(body) <= KEPT:
            _keep(key, body)
    return body


def _made(job: Job, now: datetime) -> bytes:
    return to_json(job_detail(job, now))


def _keep(key: Key, body: bytes) -> None:
    if len(_shown) >= MOST:
        _shown.clear()
    _shown[key] = body


def _key(row: Row, now: datetime) -> Key | None:
    """Return all that the JSON of a row depends on; None where it depends on the instant too, or on what is missing."""
    statement = _statement()
    if row[statement.paused_until] is not None:
        return None
    try:
        return row, registry.lookup(row[statement.func]), settings.TIME_ZONE, now.date()
    except InvalidFunction:
        return None


def _read(job_id: str) -> Row | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_statement().sql, [job_id])
            row: Row | None = cursor.fetchone()
    except (ValueError, DataError):  # an id that the database can not even compare
        return None
    return row


def _job(row: Sequence[Any]) -> Job:
    statement = _statement()
    values = list(row)
    for index, (steps, column) in statement.converters.items():
        for convert in steps:
            values[index] = convert(values[index], column, connection)
    return Job.from_db(connection.alias, statement.names, values)


@lru_cache(maxsize=1)
def _statement() -> Statement:
    compiler = Job.objects.filter(pk="").order_by().query.get_compiler(connection=connection)
    sql, _ = compiler.as_sql()
    columns: list[Any] = [column for column, *_ in compiler.select]
    names = [column.target.attname for column in columns]
    return Statement(sql, names, compiler.get_converters(columns), names.index("func"), names.index("paused_until"))
