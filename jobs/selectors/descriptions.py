"""Descriptions of jobs' definitions for lists, computed once for each definition rather than for each row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import F, Func, TextField

from ..core.exceptions import CronzimusError
from ..core.json import parse_stored
from ..definitions import validation
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..models import Job
from .states import short_form, zone_of

ANY_ANCHOR = datetime(2000, 1, 1, tzinfo=UTC)
"""An anchor for triggers whose fire times do not matter."""
EMPTY = "''"
"""The SQL of an empty text."""
SEPARATOR = "\n"
"""Stands between the parts of a definition. JSON in a column has no line breaks."""
MAX_ARGUMENTS = 8192
"""Bytes of arguments that lists read. Larger ones are checked when a job is read alone, and when it is due."""
MAX_COMPRESSED = 96
"""Bytes of compressed arguments that lists read."""
MAX_KEY = 256
"""Characters of a definition that is a key itself; the key of a longer one is its hash."""
MAX_KEPT = 65_536
"""Descriptions that are kept; each takes some 500 bytes."""


class Definition(Func):
    """The definition of a row as one text: function, trigger, and arguments if they are not large."""

    output_field = TextField()

    def __init__(self) -> None:
        """Use the columns of a job."""
        super().__init__(*map(F, ("func", "trigger", "args", "kwargs")))

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for SQLite."""
        columns = [compiler.compile(column)[0] for column in self.source_expressions]
        return _sql(columns, [f"length({column}) <= {MAX_ARGUMENTS}" for column in columns[2:]]), ()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:
        """Return the SQL for PostgreSQL, which knows the stored size of a value without fetching it.

        A compressed value may be a hundred times as large.
        """
        columns = [compiler.compile(column)[0] for column in self.source_expressions]
        limit = "CASE WHEN pg_column_compression({0}) IS NULL THEN {1} ELSE {2} END"
        sizes = [
            f"pg_column_size({column}) <= {limit.format(column, MAX_ARGUMENTS, MAX_COMPRESSED)}"
            for column in columns[2:]
        ]
        return _sql([f"{column}::text" for column in columns], sizes), ()


def _sql(columns: list[str], are_small: list[str]) -> str:
    func, trigger, *arguments = columns
    between = f" || '{SEPARATOR}' || "
    rest = f"CASE WHEN {' AND '.join(are_small)} THEN {between.join([EMPTY, *arguments])} ELSE '' END"
    return f"({between.join((func, trigger))} || {rest})"


DEFINITION = Definition()
"""The column that `Descriptions.of` takes."""


@dataclass(frozen=True, slots=True)
class Described:
    """A definition in a list: its trigger's short form, its time zone, and the problem that keeps it from running."""

    trigger: str
    zone: ZoneInfo
    problem: str


class Descriptions:
    """A cache of descriptions by definition.

    To build a trigger and check a signature takes a hundred times as long as a lookup here. The descriptions depend on
    the registered functions and on the time zone of the site: both are in `key`.
    """

    def __init__(self, key: object) -> None:
        """Start empty."""
        self.key = key
        self._kept: dict[str | bytes, Described] = {}

    def of(self, definition: str) -> Described:
        """Return the description of a `DEFINITION`."""
        is_short = len(definition) <= MAX_KEY
        key = definition if is_short else blake2b(definition.encode("utf-8", "replace"), digest_size=16).digest()
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            found = self._kept[key] = _described(definition)
        return found


def descriptions() -> Descriptions:
    """Return the descriptions for the functions registered now, and for the site's time zone."""
    return _descriptions(frozenset(registry.functions()), settings.TIME_ZONE)


@lru_cache(maxsize=2)
def _descriptions(known: frozenset[registry.Function], timezone: str) -> Descriptions:
    return Descriptions((known, timezone))


def words_of(definition: str) -> str:
    """Return the trigger of a `DEFINITION` in English, without its time zone; the short form if it is damaged."""
    return _words(definition.split(SEPARATOR)[1], settings.TIME_ZONE)


@lru_cache(maxsize=4096)
def _words(trigger: str, timezone: str) -> str:
    job = Job(trigger=parse_stored(trigger), anchor=ANY_ANCHOR)
    try:
        built = trigger_of(job)
    except CronzimusError:
        return short_form(job)
    return built.describe().removesuffix(f" ({built.timezone.key})")


def _described(definition: str) -> Described:
    func, trigger, *arguments = [*definition.split(SEPARATOR), ""][:4]
    job = Job(func=func, trigger=parse_stored(trigger), anchor=ANY_ANCHOR)
    if len(arguments) == 2:
        job.args, job.kwargs = map(parse_stored, arguments)
        return Described(short_form(job), zone_of(job), validation.problem(job))
    return Described(short_form(job), zone_of(job), validation.problem(job, arguments=False))
