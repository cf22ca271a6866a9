"""The history of one job's fire times: each of the last ones, and counts by day for the last months."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..core.runs import DID_NOT_RUN, FAILURES, RunStatus, RunTrigger
from ..core.statistics import percentile
from ..models import Run, RunHour
from ..models.run import duration


class Mark(NamedTuple):
    """A run in a chart. `seconds` is its duration, `delay` the seconds from its fire time to its start."""

    id: int
    status: str
    at: datetime
    attempt: int
    trigger: str
    seconds: float | None
    delay: float | None
    fire_times: int
    reason: str


COLUMNS = ("id", "status", "scheduled_time", "attempt", "trigger", "started_at", "finished_at", "fire_times", "reason")


def last_runs(job_id: str, limit: int, *, since: datetime | None = None) -> list[Mark]:
    """Return the last `limit` runs of a job, not before `since`, the newest first (index `run_once`)."""
    runs = Run.objects.filter(job_id=job_id)
    if since is not None:
        runs = runs.filter(scheduled_time__gte=since)
    rows = runs.order_by("-scheduled_time", "-attempt").values_list(*COLUMNS)[:limit]
    return [
        Mark(pk, status, at, attempt, trigger, _seconds(started, ended), _seconds(at, started), fire_times, reason)
        for pk, status, at, attempt, trigger, started, ended, fire_times, reason in rows
        if at is not None  # damaged, on SQLite
    ]


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    length = duration(since, until)
    return None if length is None else length.total_seconds()


class Usual(NamedTuple):
    """The durations of a job's successful runs, in seconds; None without one."""

    median: float | None
    p95: float | None
    longest: float | None


def usual(marks: Iterable[Mark]) -> Usual:
    """Return the usual durations of runs."""
    took = sorted(mark.seconds for mark in marks if mark.seconds is not None and mark.status == RunStatus.SUCCEEDED)
    return Usual(percentile(took, 0.5), percentile(took, 0.95), took[-1] if took else None)


def start_delays(marks: Iterable[Mark]) -> list[float]:
    """Return the seconds from fire time to start of the first attempts of scheduled runs, the shortest first."""
    return sorted(
        mark.delay
        for mark in marks
        if mark.delay is not None and mark.attempt == 1 and mark.trigger == RunTrigger.SCHEDULE
    )


def fire_times(marks: Sequence[Mark]) -> list[Mark]:
    """Return the last attempt of each fire time among `marks`, the newest first. Manual runs have no fire time."""
    by_time: dict[datetime, Mark] = {}
    asked: set[datetime] = set()
    for mark in marks:
        by_time.setdefault(mark.at, mark)
        if mark.trigger == RunTrigger.MANUAL:
            asked.add(mark.at)
    return [mark for at, mark in by_time.items() if at not in asked]


@dataclass(slots=True)
class Counted:
    """Numbers of fire times, or of runs, by outcome."""

    succeeded: int = 0
    failed: int = 0
    missed: int = 0
    skipped: int = 0
    other: int = 0

    def add(self, status: str, number: int) -> None:
        """Add `number` of one status."""
        name = "failed" if status in FAILURES else status if status in _NAMES else "other"
        setattr(self, name, getattr(self, name) + number)

    @property
    def ran(self) -> int:
        """The number that succeeded or failed."""
        return self.succeeded + self.failed

    @property
    def not_run(self) -> int:
        """The number that did not run."""
        return self.missed + self.skipped

    @property
    def all(self) -> int:
        """The number of all."""
        return self.ran + self.not_run + self.other

    @property
    def rate(self) -> float | None:
        """The share of successes among those that ran; None if none ran."""
        return self.succeeded / self.ran if self.ran else None


_NAMES = ("succeeded", "missed", "skipped")


def counted(marks: Iterable[Mark]) -> Counted:
    """Count fire times."""
    found = Counted()
    for mark in marks:
        found.add(mark.status, mark.fire_times if mark.status in DID_NOT_RUN else 1)
    return found


def hours(job_id: str, since: datetime) -> list[tuple[datetime, str, int]]:
    """Return the ended runs of a job as (hour, status, number) (index `run_hour_once`).

    They come from the statistics, which lag behind the runs by at most two minutes.
    """
    rows = RunHour.objects.filter(job_id=job_id, hour__gte=since).order_by("hour")
    return list(rows.values_list("hour", "status", "count"))


def by_day(found: Iterable[tuple[datetime, str, int]], zone: ZoneInfo) -> dict[date, Counted]:
    """Return `hours` by the days of `zone`."""
    days: dict[date, Counted] = {}
    for hour, status, number in found:
        days.setdefault(hour.astimezone(zone).date(), Counted()).add(status, number)
    return days


def in_span(found: Iterable[tuple[datetime, str, int]], since: datetime) -> Counted:
    """Count the runs of `hours` from `since` on."""
    result = Counted()
    for hour, status, number in found:
        if hour + timedelta(hours=1) > since:
            result.add(status, number)
    return result
