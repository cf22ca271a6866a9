"""Pass many rows to one statement as one JSON parameter, which the database reads as a table. Convert raw values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from django.db import connection

from ...core.json import parse_stored

POSTGRESQL_TYPES = {"text": "text", "number": "bigint", "time": "timestamptz", "json": "jsonb"}
"""PostgreSQL's types, by the kind of a column."""
INSTANT_SQL = {"postgresql": "%s::timestamptz", "sqlite": "%s"}
"""A parameter of `instant`, by database: PostgreSQL has to be told its type."""


def rows_as_table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Return SQL for a table `v` of `rows`, for use after FROM, and its one parameter.

    `columns` maps names to kinds: "number", "text", "json" (an `orjson.Fragment`) or "time" (an aware datetime in
    UTC). A column that a row leaves out is null. json_to_recordset and json_each (manuals of PostgreSQL and SQLite)
    read the JSON, so that no limit on the number of parameters applies. The text does not depend on the number of
    rows; on SQLite it depends on the columns that they have.
    """
    listed = list(rows)
    data = orjson.dumps(listed, option=orjson.OPT_UTC_Z).decode()
    if connection.vendor == "postgresql":
        return _recordset(tuple(columns.items())), data
    return _each(tuple(columns.items()), frozenset().union(*listed)), data


def qualified(table: str, columns: Iterable[str]) -> str:
    """Return SQL for the columns of a table."""
    return ", ".join(f"{table}.{name}" for name in columns)


def unlocked_runs(source: str, condition: str) -> str:
    """Return SQL, for the end of an UPDATE of runs, that chooses those of `source` for which `condition` holds.

    `source` is a table `v` with the ids of runs; the parameters of `condition` follow that of the table. Runs that
    somebody else has locked are left out. UPDATE itself would wait, and with it all other rows: a slow request may hold
    the lock of one run for long. SQLite has no locks of rows.
    """
    chosen = f"cronzimus_run.id = v.id AND {condition}"
    if connection.vendor != "postgresql":
        return f"FROM {source} WHERE {chosen}"
    # LATERAL makes the planner look each row up by its id, once. The condition holds for the locked row, so it is not
    # repeated outside, where it would make the planner expect a single run, and read the table for each row of `v`.
    locked = f"SELECT 1 FROM cronzimus_run WHERE {chosen} FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608
    return f"FROM (SELECT v.* FROM {source}, LATERAL ({locked}) AS locked) AS v WHERE cronzimus_run.id = v.id"  # noqa: S608


@cache
def _recordset(columns: tuple[tuple[str, str], ...]) -> str:
    declared = ", ".join(f"{name} {POSTGRESQL_TYPES[kind]}" for name, kind in columns)
    return f"json_to_recordset(%s) AS v({declared})"


@cache
def _each(columns: tuple[tuple[str, str], ...], given: frozenset[str]) -> str:
    # SQLite searches each row for each name. Most rows lack most names, and searching for those took half of the time.
    read = (f"{_read(name, kind) if name in given else 'NULL'} AS {name}" for name, kind in columns)
    return f"(SELECT {', '.join(read)} FROM json_each(%s)) AS v"  # noqa: S608 (names of ours)


def _read(name: str, kind: str) -> str:
    if kind == "time":  # in the form of Django's SQLite backend, so that texts compare as the instants do
        return f"replace(replace(value ->> '{name}', 'T', ' '), 'Z', '')"
    # JSON stays JSON, with its quotes; JSON's null becomes SQL's, as in PostgreSQL's json_to_recordset.
    return f"NULLIF(value -> '{name}', 'null')" if kind == "json" else f"value ->> '{name}'"


def instant(value: datetime) -> str:
    """Return an aware instant as text that raw SQL can compare with the database's own instants."""
    if connection.vendor == "postgresql":
        return value.isoformat()
    return value.astimezone(UTC).isoformat(" ")[: -len("+00:00")]


def as_text(column: str) -> str:
    """Return SQL that reads a column of instants on SQLite as text, even a damaged value; null for a blob."""
    return f"CASE typeof({column}) WHEN 'blob' THEN NULL ELSE {column} || '' END"


def from_json(value: Any) -> Any:
    """Return the parsed value of a JSON column, which raw SQL gives as text. Invalid JSON is returned unchanged."""
    if value == "[]":
        return []
    if value == "{}":
        return {}
    return parse_stored(value)


def from_time(value: Any) -> datetime:
    """Return an instant, aware and in UTC. Raw SQL on SQLite gives it naive, or as text.

    Raises `TypeError` or `ValueError` for a damaged value.
    """
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_with_offset(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _with_offset(text: Any) -> Any:
    """Add the offset of UTC to an instant in Django's form.

    Python reads the two together in half the time that it takes to add the zone afterwards. Other texts stay as they
    are: with an offset behind them, Python 3.11 would read some that are damaged.
    """
    size = len(text) if isinstance(text, str) and text[13:14] == text[16:17] == ":" else 0
    return f"{text}+00:00" if size == 19 or (size == 26 and text[20:].isdecimal()) else text
