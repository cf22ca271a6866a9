"""Check a history of runs: every fire time is accounted for once, and the calls match the rows.

The idea is that of Jepsen's test of Chronos: the marks that the functions themselves wrote, outside the database, are
compared with the rows of the scheduler, and both with the fire times of the triggers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RAN = {"succeeded"}
"""Statuses of runs whose function was called, once."""
MAY_HAVE_RUN = {"running", "failed", "timed_out", "lost"}
"""Statuses of runs whose function may have been called, at most once; so may that of a run that was cancelled after it
had started. All others were not."""
UNFINISHED = {"queued", "running"}
"""Statuses of runs that have not ended."""
UNSUCCESSFUL = {"failed", "timed_out", "lost"}
"""Statuses of runs that started and went wrong."""

Instant = tuple[str, datetime]
"""A job and one of its fire times."""
Attempt = tuple[str, datetime, int]
"""A job, one of its fire times, and the number of the attempt."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a run."""

    job_id: str
    scheduled_time: datetime
    status: str
    fire_times: int = 1
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 1
    dispatches: int = 0
    """How many messages for workers it had."""

    @property
    def key(self) -> Attempt:
        """The attempt that it records."""
        return self.job_id, self.scheduled_time, self.attempt

    @property
    def may_have_run(self) -> bool:
        """Whether its function may have been called."""
        return self.status in RAN | MAY_HAVE_RUN or (self.status == "cancelled" and self.started_at is not None)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A call of a function, by the mark that the function wrote."""

    job_id: str
    scheduled_time: datetime
    at: datetime
    pid: int = 0
    clock: datetime | None = None
    """The time by the clock of its process, which a test may have set; `at` is by the clock of the tests."""
    attempt: int = 1

    @property
    def key(self) -> Attempt:
        """The attempt that it belongs to."""
        return self.job_id, self.scheduled_time, self.attempt


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A period in which fire times need not run in time, nor one by one, but must be accounted for."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Demand:
    """The demand on `job_ids` up to `until`: each fire time outside the `outages` runs within the `window`.

    A run of a dead scheduler may be lost instead: `deaths` has the instants at which schedulers died or froze. A fire
    time may be skipped while a run of its job is active, such as a lost one that is not yet given up. Fire times within
    the `lag` of a busy machine may run as one.
    """

    job_ids: Sequence[str]
    until: datetime
    window: timedelta = timedelta(seconds=5)
    interval: timedelta = timedelta(seconds=1)
    lag: timedelta = timedelta(0)
    outages: Sequence[Outage] = ()
    deaths: Sequence[datetime] = ()

    def excuses(self, at: datetime) -> bool:
        """Tell whether an outage reaches into the window of a fire time."""
        return any(outage.start - self.window <= at <= outage.end for outage in self.outages)


NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of a run that has not ended."""
EARLY = timedelta(seconds=0.2)
"""Tolerated difference of two equal clocks on a loaded machine: half of the time to ask for the time."""


@dataclass(frozen=True, kw_only=True)
class Break:
    """A period in which a person took a job off its schedule. It starts and ends between a request and its answer."""

    job_id: str
    start: tuple[datetime, datetime]
    end: tuple[datetime, datetime]

    def may_cover(self, at: datetime) -> bool:
        """Tell whether a fire time may lie in it."""
        return self.start[0] < at <= self.end[1]

    def covers(self, at: datetime) -> bool:
        """Tell whether a fire time lies in it, whichever of two clocks that agree is asked."""
        return self.start[1] + EARLY < at <= self.end[0] - EARLY


def problems(
    rows: Sequence[Row],
    marks: Sequence[Mark],
    *,
    interval: timedelta = timedelta(seconds=1),
    breaks: Sequence[Break] = (),
) -> list[str]:
    """Return the errors in the history of jobs that fire every `interval`."""
    first_attempts = [row for row in rows if row.attempt == 1]
    return [*accounts(first_attempts, interval, breaks), *calls(rows, marks)]


def covered(rows: Iterable[Row], interval: timedelta = timedelta(seconds=1)) -> Counter[Instant]:
    """Return the number of rows for each fire time; a row stands for `fire_times` of them, up to its own."""
    return Counter(
        (row.job_id, row.scheduled_time - number * interval) for row in rows for number in range(row.fire_times)
    )


def accounts(rows: Sequence[Row], interval: timedelta, breaks: Sequence[Break] = ()) -> Iterator[str]:
    """Find fire times between a job's first and last that no row, or more than one, accounts for.

    Those in a break are to have none.
    """
    counts = covered(rows, interval)
    breaks_of: dict[str, list[Break]] = defaultdict(list)
    for pause in breaks:
        breaks_of[pause.job_id].append(pause)
    times: dict[str, list[datetime]] = defaultdict(list)
    for (job_id, at), count in counts.items():
        times[job_id].append(at)
        if count > 1:
            yield f"{job_id} {at}: accounted for {count} times"
        if any(pause.covers(at) for pause in breaks_of[job_id]):
            yield f"{job_id} {at}: has a row, and lies in a break"
    for job_id, found in times.items():
        at, last = min(found), max(found)
        while at < last:
            at += interval
            if (job_id, at) not in counts and not any(pause.may_cover(at) for pause in breaks_of[job_id]):
                yield f"{job_id} {at}: no row accounts for it"


def calls(rows: Sequence[Row], marks: Sequence[Mark]) -> Iterator[str]:
    """Find calls that no row allows, and rows without their call."""
    by_key = {row.key: row for row in rows}
    called = Counter(mark.key for mark in marks)
    for key, count in called.items():
        row = by_key.get(key)
        if count > 1:
            yield f"{_name(key)}: called {count} times"
        if row is None:
            yield f"{_name(key)}: called, and no row says so"
        elif not row.may_have_run:
            yield f"{_name(key)}: called, although it is {row.status}"
    for key, row in by_key.items():
        if row.status in RAN and key not in called:
            yield f"{_name(key)}: {row.status}, and was never called"
    for mark in marks:
        row = by_key.get(mark.key)
        if row is not None and row.status == "lost" and row.finished_at is not None and mark.at > row.finished_at:
            yield f"{_name(mark.key)}: called after it was given up for lost"


def harmed(rows: Iterable[Row], allowed: Mapping[str, Collection[str]], *, messages_may_be_lost: bool) -> Iterator[str]:
    """Find runs that went wrong, or were sent again to workers, although nothing did them harm.

    `allowed` has, for each of the statuses `UNSUCCESSFUL`, the jobs whose runs may have it. A run that never started is
    never lost.
    """
    for row in rows:
        if row.status == "lost" and row.started_at is None:
            yield f"{_name(row.key)}: lost, and never started"
        elif row.status in UNSUCCESSFUL and row.job_id not in allowed.get(row.status, ()):
            yield f"{_name(row.key)}: {row.status}, without a cause"
        if row.dispatches > 1 and not messages_may_be_lost:
            yield f"{_name(row.key)}: sent {row.dispatches} times, although no message may be lost"


def _name(key: Attempt) -> str:
    job_id, at, attempt = key
    return f"{job_id} {at}" if attempt == 1 else f"{job_id} {at}, attempt {attempt}"


def unmet(rows: Sequence[Row], marks: Sequence[Mark], demand: Demand) -> list[str]:
    """Return the fire times that did not meet the `demand`, with the reason.

    The fire times begin with a job's first row. `problems` checks that each has exactly one row.
    """
    calls = {(mark.job_id, mark.scheduled_time): mark.at for mark in marks}
    found: list[str] = []
    for job_id in demand.job_ids:
        own = {row.scheduled_time: row for row in rows if row.job_id == job_id}
        found += _stopped(job_id, own, demand)
        for at, row in own.items():
            found += _not_in_time(row, calls.get((job_id, at)), demand)
            if not demand.excuses(at):
                found += _not_run(row, own.values(), demand)
        found += _swallowed(job_id, own.values(), demand)
    return found


def _stopped(job_id: str, own: Mapping[datetime, Row], demand: Demand) -> Iterator[str]:
    """Find a job whose rows end too early, which leaves no gap."""
    if not own:
        yield f"{job_id}: no row at all"
    elif max(own) + demand.interval + demand.window < demand.until and not demand.excuses(demand.until):
        yield f"{job_id} {max(own)}: no row after it, up to {demand.until}"


def _not_in_time(row: Row, called_at: datetime | None, demand: Demand) -> Iterator[str]:
    """Find a call before its fire time, or after its window."""
    if called_at is None:
        return
    if called_at < row.scheduled_time - EARLY:
        yield f"{row.job_id} {row.scheduled_time}: called early, at {called_at}"
    if called_at > row.scheduled_time + demand.window and not demand.excuses(row.scheduled_time):
        yield f"{row.job_id} {row.scheduled_time}: called late, at {called_at}"


def _not_run(row: Row, own: Iterable[Row], demand: Demand) -> Iterator[str]:
    """Find a fire time that did not run, and should have."""
    if row.status in RAN:
        return
    if row.status == "lost":
        excused = any(row.scheduled_time - demand.window <= death <= _end(row) for death in demand.deaths)
    elif row.status == "skipped":
        excused = any(other.scheduled_time < row.scheduled_time <= _end(other) + EARLY for other in own)
    else:
        excused = row.status in UNFINISHED and row.scheduled_time + demand.window >= demand.until
    if not excused:
        yield f"{row.job_id} {row.scheduled_time}: {row.status}, without a cause"


def _swallowed(job_id: str, own: Iterable[Row], demand: Demand) -> Iterator[str]:
    """Find fire times that share a row although each had to run by itself."""
    for row in own:
        for number in range(1, row.fire_times):
            at = row.scheduled_time - number * demand.interval
            if row.scheduled_time - at > demand.lag and not demand.excuses(at):
                yield f"{job_id} {at}: the row of {row.scheduled_time} stands for it"


def _end(row: Row) -> datetime:
    return row.finished_at or NEVER
