"""The rows of a list of jobs, read in parts, with only the columns that a list shows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Case, Q, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from ..core.runs import JobState
from ..functions import registry
from ..models import Job
from ..models.job import JobQuerySet
from ..models.lookups import IsAmong
from .descriptions import DEFINITION, descriptions

PART = 1000
"""Rows that are read at a time. No more are in memory."""
Row = tuple[str, str, str, str | None, str]
"""The columns of a job in a list, as texts: id, name, definition, next fire time, state."""
Params = tuple[Any, ...]
"""The parameters of a statement."""
NOW: Any = object()
"""Stands for the instant of the request in the parameters of a statement that is built once."""
AFTER: Any = object()
"""Stands for the id after which the rows begin."""
ARRAYS = {
    "sqlite": "CAST(json_group_array(json_array(id, name, definition, next_run_time, state)) AS BLOB)",
    "postgresql": "array_to_json(array_agg(ARRAY[id, name, definition, next_run_time, state]))::text",
}
"""Many rows as one text, an array of arrays: SQLite's driver releases the interpreter's lock for each row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters and the page of a list of jobs. None means any."""

    state: str | None = None
    q: str | None = None
    tag: str | None = None
    owner: str | None = None
    limit: int | None = None
    offset: int = 0
    reached: tuple[str, ...] | None = None
    """Only jobs with one of these tags are visible."""

    @property
    def is_cut_by_database(self) -> bool:
        """Tell whether the database counts and cuts the pages. With a state it cannot: some states need the rows."""
        return self.state is None and (self.limit is not None or self.offset > 0)

    @property
    def end(self) -> int | None:
        """Return the offset at which the page ends."""
        return None if self.limit is None else self.offset + self.limit


def read_rows(wanted: Wanted, now: datetime) -> Iterator[tuple[list[Row], Any]]:
    """Yield the rows of the wanted jobs by id, in parts, each with the end of the first pause that it shows.

    Instants have the form of the database. The state is the database's: a job is `broken` as well if the description of
    its definition has a problem.
    """
    instant = connection.ops.adapt_datetimefield_value(now)
    sql, params = _statement_of(wanted)
    after, offset, left = "", 0, None
    if wanted.is_cut_by_database:
        offset, left = wanted.offset, wanted.limit
    while left is None or left > 0:
        size = PART if left is None else min(PART, left)
        given = [instant if param is NOW else after if param is AFTER else param for param in params]
        with connection.cursor() as cursor:
            cursor.execute(sql, [*given, size, offset])
            text, until = cursor.fetchone()
        if isinstance(text, bytes):  # a column for texts may hold any bytes on SQLite
            text = text.decode("utf-8", "replace")
        rows: list[Row] = json.loads(text or "[]")
        yield rows, until
        if len(rows) < size:
            return
        after, offset = rows[-1][0], 0
        left = None if left is None else left - len(rows)


def count_rows(wanted: Wanted, now: datetime) -> int:
    """Return the number of wanted jobs on all pages. Only for pages that the database cuts."""
    return _in_state(wanted, now).count()


def wanted_jobs(wanted: Wanted, now: datetime) -> JobQuerySet:
    """Return the wanted jobs of all pages, by id."""
    jobs = _in_any_state(wanted).order_by("id")
    return jobs if wanted.state is None else in_states(jobs, [JobState(wanted.state)], now)


def in_states(jobs: JobQuerySet, states: Collection[JobState], now: datetime) -> JobQuerySet:
    """Return the jobs among `jobs` whose `job_state` at `now` is one of `states`.

    The database finds unknown functions and pauses. Other broken definitions are found by reading them, in parts; there
    are few.
    """
    known = [function.reference for function in registry.functions()]
    judged = jobs.with_state(now, functions=known)
    found = Q(state__in=states)
    broken = _broken_ids(jobs.filter(func__in=known))
    if broken:
        is_broken = Q(IsAmong("pk", broken))
        found = found | is_broken if JobState.BROKEN in states else found & ~is_broken
    return judged.filter(found)


def _broken_ids(jobs: JobQuerySet) -> list[str]:
    known = descriptions()
    rows = jobs.order_by().values_list("pk", DEFINITION).iterator(chunk_size=PART)
    return [job_id for job_id, definition in rows if known.of(definition).problem]


def _statement_of(wanted: Wanted) -> tuple[str, Params]:
    # Only statements without clients' texts are cached: those are few, and most requests have one of them.
    is_common = all(text is None for text in (wanted.q, wanted.tag, wanted.owner, wanted.reached))
    make = _cached_statement if is_common else _statement
    return make(replace(wanted, limit=None, offset=0))


def _statement(wanted: Wanted) -> tuple[str, Params]:
    jobs = _in_state(wanted, Value(NOW)).with_state(Value(NOW)).filter(id__gt=Value(AFTER)).order_by("id")
    # Only texts: Django converts other types row by row.
    columns: list[Combinable | str] = [
        Cast("id", TextField()), Cast("name", TextField()), DEFINITION, Cast("next_run_time", TextField()),
        "state", Case(When(paused_until__gt=Value(NOW), then="paused_until")),
    ]  # fmt: skip
    sql, params = jobs.values_list(*columns).query.sql_with_params()
    names = "id, name, definition, next_run_time, state, pause_ends"
    part = f"{sql} LIMIT %s OFFSET %s"
    return f"WITH jobs({names}) AS ({part}) SELECT {ARRAYS[connection.vendor]}, min(pause_ends) FROM jobs", params  # noqa: S608


_cached_statement = lru_cache(maxsize=16)(_statement)


def _in_any_state(wanted: Wanted) -> JobQuerySet:
    """Return the wanted jobs of all states."""
    jobs: JobQuerySet = Job.objects.all() if wanted.reached is None else Job.objects.tagged(*wanted.reached)
    if wanted.tag is not None:
        jobs = jobs.tagged(wanted.tag)
    if wanted.owner is not None:
        jobs = jobs.filter(owner=wanted.owner)
    if wanted.q:
        jobs = jobs.search(wanted.q)
    return jobs


def _in_state(wanted: Wanted, now: datetime | Value) -> JobQuerySet:
    """Return the wanted jobs in the wanted state; for `broken` those in all states, as SQL does not find each one."""
    jobs = _in_any_state(wanted)
    if wanted.state not in (None, JobState.BROKEN):
        jobs = jobs.with_state(now).filter(Q(state=wanted.state))
    return jobs
