"""The list of jobs. It reads only the columns that it shows, in parts, without model instances and serializers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from ..core.runs import JobState
from ..selectors.descriptions import Descriptions, descriptions
from ..selectors.job_list import Row, Wanted, count_rows, read_rows
from .cache import jobs_version, keep_page, kept_page
from .conditional import tag_of
from .representations import local_times

UTC = ZoneInfo("UTC")
"""The zone of times in the database."""
BROKEN = JobState.BROKEN.value
"""The state of jobs that cannot run."""
is_whole_second = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\+00)?", re.ASCII).fullmatch
"""Match a time in the text form of the databases, without fractions."""
NEVER = '"next_run_time":null,"next_run_time_iso":null'
"""The JSON of the next fire time if there is none."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs as JSON, its entity tag, and the number of jobs on all pages."""

    body: bytes
    tag: str
    total: int


def list_jobs(wanted: Wanted, *, now: datetime) -> Page:
    """Return the page of the `wanted` jobs at `now`, by id."""
    known, instant = descriptions(), connection.ops.adapt_datetimefield_value(now)
    # The version is read before the rows, so that a commit in between changes the next version. It takes longer to
    # read than a page that the database cuts, which is therefore not kept.
    version = None if wanted.is_cut_by_database else jobs_version()
    made_from = (wanted, known.key)
    page: Page | None = kept_page(made_from, version, instant) if version is not None else None
    if page is None:
        page, until = _made(wanted, known, now)
        keep_page(page, len(page.body), made_from, version, instant, until)
    return page


def _made(wanted: Wanted, known: Descriptions, now: datetime) -> tuple[Page, Any]:
    """Return the page, and the end of the first pause on it (None if it shows none)."""
    shown: list[str] = []
    found, ends = 0, set()
    for rows, until in read_rows(wanted, now):
        texts = list(_texts(rows, wanted.state, known))
        ends.add(until)
        if wanted.is_cut_by_database:
            shown += texts
        else:
            end = None if wanted.end is None else max(wanted.end - found, 0)
            shown += texts[max(wanted.offset - found, 0) : end]
        found += len(texts)
    total = count_rows(wanted, now) if wanted.is_cut_by_database else found
    body = f"[{','.join(shown)}]".encode("utf-8", "backslashreplace")
    return Page(body, tag_of(body, total), total), min(ends - {None}, default=None, key=str)


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
