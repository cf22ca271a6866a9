"""The list of jobs. It reads only what it shows, in parts, and makes neither model instances nor serializers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Case, QuerySet, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from ..core.runs import JobState
from ..models import Job
from ..selectors.descriptions import DEFINITION, Descriptions, descriptions
from ..selectors.states import state_sql
from .cache import jobs_version, keep_page, kept_page
from .conditional import tag_of
from .representations import local_times

UTC = ZoneInfo("UTC")
"""The zone in which the database has all times."""
BROKEN = JobState.BROKEN.value
"""The state of jobs that cannot run."""
is_whole_second = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\+00)?", re.ASCII).fullmatch
"""Match a time as the databases have it as text, without fractions."""
NEVER = '"next_run_time":null,"next_run_time_iso":null'
"""The JSON of the next fire time where there is none."""
PART = 1000
"""Rows that are read at a time: so many are in memory beside what is shown of them."""
Row = tuple[str, str, str, str | None, str]
"""What is read of a job: id, name, definition, next fire time, state."""
Params = tuple[Any, ...]
"""The parameters of a statement."""

NOW: Any = object()
"""Stands for the instant of the request in the parameters of a statement that is put together once."""
AFTER: Any = object()
"""Stands for the id after which the rows begin."""
ARRAYS = {
    "sqlite": "CAST(json_group_array(json_array(id, name, definition, next_run_time, state)) AS BLOB)",
    "postgresql": "array_to_json(array_agg(ARRAY[id, name, definition, next_run_time, state]))::text",
}
"""Many rows as one text, an array of arrays: row by row SQLite would let go of the interpreter each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are asked for; None is any."""

    state: str | None = None
    q: str | None = None
    tag: str | None = None
    limit: int | None = None
    offset: int = 0
    reached: tuple[str, ...] | None = None
    """The tags of which a job needs one to be reached at all."""

    @property
    def is_cut_by_database(self) -> bool:
        """Tell whether the database counts and cuts: a state is judged here, once the rows are read."""
        return self.state is None and (self.limit is not None or self.offset > 0)

    @property
    def end(self) -> int | None:
        """Return where the page ends."""
        return None if self.limit is None else self.offset + self.limit


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs as JSON, its entity tag, and how many jobs there are on all pages."""

    body: bytes
    tag: str
    total: int


def list_jobs(wanted: Wanted, *, now: datetime) -> Page:
    """Return the page of the jobs that are `wanted` at `now`, by id."""
    known, instant = descriptions(), connection.ops.adapt_datetimefield_value(now)
    # The version is read first: a commit between it and the rows makes the next one another. What the database cuts
    # short takes less time to read than to find out whether any job has changed.
    version = None if wanted.is_cut_by_database else jobs_version()
    made_from = (wanted, known.key)
    page: Page | None = kept_page(made_from, version, instant) if version is not None else None
    if page is None:
        page, until = _made(wanted, known, now, instant)
        keep_page(page, len(page.body), made_from, version, instant, until)
    return page


def _made(wanted: Wanted, known: Descriptions, now: datetime, instant: Any) -> tuple[Page, Any]:
    """Return the page, and when the first pause ends that it shows (None: it shows none)."""
    shown: list[str] = []
    found, ends = 0, set()
    for rows, until in _parts(wanted, instant):
        texts = list(_texts(rows, wanted.state, known))
        ends.add(until)
        if wanted.is_cut_by_database:
            shown += texts
        else:
            end = None if wanted.end is None else max(wanted.end - found, 0)
            shown += texts[max(wanted.offset - found, 0) : end]
        found += len(texts)
    total = _filtered(wanted, now).count() if wanted.is_cut_by_database else found
    body = f"[{','.join(shown)}]".encode("utf-8", "backslashreplace")
    return Page(body, tag_of(body, total), total), min(ends - {None}, default=None, key=str)


def _parts(wanted: Wanted, instant: Any) -> Iterator[tuple[list[Row], Any]]:
    """Yield the rows in parts, each with the end of the first pause in it, as the database has times."""
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
        if isinstance(text, bytes):  # SQLite keeps any bytes in a column for texts
            text = text.decode("utf-8", "replace")
        rows: list[Row] = json.loads(text or "[]")
        yield rows, until
        if len(rows) < size:
            return
        after, offset = rows[-1][0], 0
        left = None if left is None else left - len(rows)


def _statement_of(wanted: Wanted) -> tuple[str, Params]:
    # Kept for what few requests differ in; texts of clients could be any.
    is_common = wanted.q is None and wanted.tag is None and wanted.reached is None
    kind = Wanted(state=wanted.state, q=wanted.q, tag=wanted.tag, reached=wanted.reached)
    return (_statement if is_common else _statement.__wrapped__)(kind)


@lru_cache(maxsize=16)
def _statement(wanted: Wanted) -> tuple[str, Params]:
    rows: QuerySet[Job, Row] = _filtered(wanted, Value(NOW)).filter(id__gt=Value(AFTER)).order_by("id")
    # Texts alone: what Django converts, it converts for each row.
    columns: list[Combinable] = [
        Cast("id", TextField()), Cast("name", TextField()), DEFINITION, Cast("next_run_time", TextField()),
        state_sql(Value(NOW)), Case(When(paused_until__gt=Value(NOW), then="paused_until")),
    ]  # fmt: skip
    sql, params = rows.values_list(*columns).query.sql_with_params()
    names = "id, name, definition, next_run_time, state, pause_ends"
    part = f"{sql} LIMIT %s OFFSET %s"
    return f"WITH jobs({names}) AS ({part}) SELECT {ARRAYS[connection.vendor]}, min(pause_ends) FROM jobs", params  # noqa: S608


def _filtered(wanted: Wanted, now: datetime | Value) -> QuerySet[Job, Any]:
    jobs = Job.objects.all() if wanted.reached is None else Job.objects.tagged(*wanted.reached)
    if wanted.tag is not None:
        jobs = jobs.tagged(wanted.tag)
    if wanted.q:
        jobs = jobs.search(wanted.q)
    if wanted.state not in (None, JobState.BROKEN):
        jobs = jobs.alias(shown_state=state_sql(now)).filter(shown_state=wanted.state)
    return jobs


def _texts(rows: Sequence[Row], state_wanted: str | None, known: Descriptions) -> Iterator[str]:
    """Yield the JSON of each job that has the state."""
    for job_id, name, definition, next_run_time, state, *_ in rows:
        about = known.of(definition)
        if about.problem:
            state = BROKEN
        if state_wanted not in (None, state):
            continue
        if next_run_time is None:
            times = NEVER
        elif about.zone is UTC and is_whole_second(next_run_time):
            iso = quoted(f"{next_run_time[:10]}T{next_run_time[11:].removesuffix('+00')}+00:00")
            times = f'"next_run_time":{iso[:11]} {iso[12:20]}","next_run_time_iso":{iso}'
        else:
            times = _local_times(next_run_time, about.zone)
        yield (
            f'{{"id":{quoted(job_id)},"name":{quoted(name)},"trigger":{quoted(about.trigger)},{times},"state":"{state}"}}'
        )


@lru_cache(maxsize=8192)
def _local_times(text: str, zone: tzinfo) -> str:
    try:
        local, iso = local_times(datetime.fromisoformat(text.removesuffix("+00") + "+00:00"), zone)
    except ValueError:  # SQLite keeps any text in a column for times
        return NEVER
    return f'"next_run_time":{quoted(local)},"next_run_time_iso":{quoted(iso)}'
