"""Judge a history of runs: every fire time is accounted for once, and what ran is what the rows say.

The idea is that of Jepsen's test of Chronos: what the functions themselves wrote down, outside the database, is held
against what the scheduler wrote, and both against what the triggers asked for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

RAN = {"succeeded"}
"""Statuses of runs whose function was called, once."""
MAY_HAVE_RUN = {"running", "failed", "timed_out", "lost"}
"""Statuses of runs whose function may have been called, once at the most. All others were not."""

Instant = tuple[str, datetime]
"""A job and one of its fire times."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run as the database has it."""

    job_id: str
    scheduled_time: datetime
    status: str
    fire_times: int = 1
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A call of a function as the function itself wrote it down."""

    job_id: str
    scheduled_time: datetime
    at: datetime
    pid: int = 0


def problems(rows: Sequence[Row], marks: Sequence[Mark], *, interval: timedelta = timedelta(seconds=1)) -> list[str]:
    """Return what is wrong with the history of jobs that fire every `interval`: nothing, if all went well."""
    return [*_accounts(rows, interval), *_calls(rows, marks)]


def covered(rows: Iterable[Row], interval: timedelta = timedelta(seconds=1)) -> Counter[Instant]:
    """Return how often each fire time is accounted for: a row stands for as many as it says, up to its own."""
    return Counter(
        (row.job_id, row.scheduled_time - number * interval) for row in rows for number in range(row.fire_times)
    )


def _accounts(rows: Sequence[Row], interval: timedelta) -> Iterator[str]:
    """Find fire times between a job's first and last that no row, or more than one, accounts for."""
    counts = covered(rows, interval)
    times: dict[str, list[datetime]] = defaultdict(list)
    for (job_id, at), count in counts.items():
        times[job_id].append(at)
        if count > 1:
            yield f"{job_id} {at}: accounted for {count} times"
    for job_id, found in times.items():
        at, last = min(found), max(found)
        while at < last:
            at += interval
            if (job_id, at) not in counts:
                yield f"{job_id} {at}: no row accounts for it"


def _calls(rows: Sequence[Row], marks: Sequence[Mark]) -> Iterator[str]:
    """Find calls that no row allows, and rows whose call is not there."""
    by_instant = {(row.job_id, row.scheduled_time): row for row in rows}
    calls = Counter((mark.job_id, mark.scheduled_time) for mark in marks)
    for (job_id, at), count in calls.items():
        row = by_instant.get((job_id, at))
        if count > 1:
            yield f"{job_id} {at}: called {count} times"
        if row is None:
            yield f"{job_id} {at}: called, and no row says so"
        elif row.status not in RAN | MAY_HAVE_RUN:
            yield f"{job_id} {at}: called, although it is {row.status}"
    for instant, row in by_instant.items():
        if row.status in RAN and instant not in calls:
            yield f"{row.job_id} {row.scheduled_time}: {row.status}, and was never called"
    for mark in marks:
        row = by_instant.get((mark.job_id, mark.scheduled_time))
        if row is not None and row.status == "lost" and row.finished_at is not None and mark.at > row.finished_at:
            yield f"{mark.job_id} {mark.scheduled_time}: called after it was given up for lost"
