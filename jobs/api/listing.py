"""The list of jobs: a thousand of them within milliseconds, so neither model instances nor serializers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from threading import local
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Case, QuerySet, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from ..core.json import parse_stored
from ..core.runs import JobState
from ..models import Job
from ..selectors.states import DEFINITION, Descriptions, descriptions, state_sql
from .conditional import tag_of
from .etags import version
from .representations import local_times

UTC = ZoneInfo("UTC")
"""The zone in which the database has all times."""
BROKEN = JobState.BROKEN.value
"""The state of jobs that can not be understood."""
is_whole_second = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\+00)?", re.ASCII).fullmatch
"""Match a time as the databases have it as text, without fractions."""
NEVER = '"next_run_time":null,"next_run_time_iso":null'
"""The JSON of the next fire time where there is none."""
Row = tuple[str, str, str, str | None, str, str]
"""What is read of a job: id, name, definition, next fire time, state, tags."""
Params = tuple[Any, ...]
"""The parameters of a statement."""

NOW: Any = object()
"""Stands for the instant of the request in the parameters of a statement that is put together once."""
ARRAYS = {
    "sqlite": "CAST(json_group_array(json_array(id, name, definition, next_run_time, state, tags)) AS BLOB)",
    "postgresql": "array_to_json(array_agg(ARRAY[id, name, definition, next_run_time, state, tags]))::text",
}
"""All rows as one text, an array of arrays: row by row SQLite would let go of the interpreter each time."""
KEPT = 1_000_000
"""Bytes of a page that a thread keeps at the most, for the next request to find it unchanged."""


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
        """Tell whether the database counts and cuts, as nothing is left for `_rows` to sort out."""
        return self.state is None and self.tag is None and (self.limit is not None or self.offset > 0)

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


@dataclass(frozen=True, slots=True)
class Kept:
    """The page that a thread made last, and what it was made of: as long as that is the same, so is the page."""

    page: Page
    wanted: Wanted
    known: Descriptions
    version: tuple[object, ...]
    made_at: Any
    until: Any

    def holds(self, wanted: Wanted, known: Descriptions, version: tuple[object, ...], instant: Any) -> bool:
        """Tell whether the same page would be made now: at `instant` no pause that it shows has ended."""
        is_same = self.wanted == wanted and self.known is known and self.version == version
        return is_same and self.made_at <= instant and (self.until is None or instant < self.until)


_last = local()


def list_jobs(wanted: Wanted, *, now: datetime) -> Page:
    """Return the page of the jobs that are `wanted` at `now`, by id."""
    known, instant = descriptions(), connection.ops.adapt_datetimefield_value(now)
    # The version is read first: what is committed between it and the rows makes the next one another. What the database
    # cuts short it reads in less time than it takes to tell whether any job has changed.
    seen = None if wanted.is_cut_by_database else version()
    kept: Kept | None = getattr(_last, "kept", None)
    if kept is not None and seen is not None and kept.holds(wanted, known, seen, instant):
        return kept.page
    rows, until = _read(wanted, instant)
    total = _filtered(wanted, now).count() if wanted.is_cut_by_database else None
    page = _page(rows, total, wanted, known)
    if seen is not None and len(page.body) <= KEPT:
        _last.kept = Kept(page, wanted, known, seen, instant, until)
    return page


def _read(wanted: Wanted, instant: Any) -> tuple[list[Row], Any]:
    """Return the rows, and the end of the first pause that they show (None: it has none), as the database has times."""
    is_short = wanted.q is None and wanted.tag is None and wanted.reached is None  # and not as long as a client likes
    sql, params = (_statement if is_short else _statement.__wrapped__)(wanted)
    with connection.cursor() as cursor:
        cursor.execute(sql, [instant if param is NOW else param for param in params])
        rows, until = cursor.fetchone()
    if isinstance(rows, bytes):  # SQLite keeps any bytes in a column for texts
        rows = rows.decode("utf-8", "replace")
    return json.loads(rows or "[]"), until


@lru_cache(maxsize=64)
def _statement(wanted: Wanted) -> tuple[str, Params]:
    jobs = _filtered(wanted, Value(NOW))
    if wanted.is_cut_by_database:
        jobs = jobs[wanted.offset : wanted.end]
    sql, params = jobs.query.sql_with_params()
    names = "id, name, definition, next_run_time, state, tags, pause_ends"
    return f"WITH jobs({names}) AS ({sql}) SELECT {ARRAYS[connection.vendor]}, min(pause_ends) FROM jobs", params  # noqa: S608


def _filtered(wanted: Wanted, now: datetime | Value) -> QuerySet[Job, Row]:
    # Texts alone: what Django converts, it converts for each row.
    columns: list[Combinable] = [
        Cast("id", TextField()), Cast("name", TextField()), DEFINITION, Cast("next_run_time", TextField()),
        state_sql(now), Cast("tags", TextField()), Case(When(paused_until__gt=now, then="paused_until")),
    ]  # fmt: skip
    reached = Job.objects.all() if wanted.reached is None else Job.objects.tagged(*wanted.reached)
    found = reached.search(wanted.q) if wanted.q else reached
    jobs: QuerySet[Job, Row] = found.order_by("id").values_list(*columns)
    if wanted.state not in (None, JobState.BROKEN):
        jobs = jobs.alias(shown_state=state_sql(now)).filter(shown_state=wanted.state)
    return jobs


def _page(rows: Sequence[Row], total: int | None, wanted: Wanted, known: Descriptions) -> Page:
    shown = list(_rows(rows, wanted, known))
    if total is None:
        total, shown = len(shown), shown[wanted.offset : wanted.end]
    body = f"[{','.join(shown)}]".encode("utf-8", "backslashreplace")
    return Page(body, tag_of(body, total), total)


def _rows(rows: Sequence[Row], wanted: Wanted, known: Descriptions) -> Iterator[str]:
    for job_id, name, definition, next_run_time, state, tags in rows:
        about = known[definition]
        if about.problem:
            state = BROKEN
        if wanted.state not in (None, state) or (wanted.tag is not None and wanted.tag not in _tags(tags)):
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


@lru_cache(maxsize=1024)
def _tags(text: str) -> list[object]:
    tags = parse_stored(text)
    return tags if isinstance(tags, list) else []
