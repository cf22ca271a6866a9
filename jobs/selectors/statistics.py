"""Figures for a period of time: runs by status, and the fire times that did not run.

Runs by status come from the statistics, and from the runs that these do not have yet: no history is too long for a
chart. The partial index `run_by_status` has every run that did not succeed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from django.db import connection
from django.db.models import Case, CharField, Max, Sum, Value, When

from ..core.runs import DID_NOT_RUN, FAILURES, UNSCHEDULED, RunStatus
from ..models import RollUp, Run

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
SAMPLE = 500
"""Runs from which the delays of starts are computed."""


class Cause(StrEnum):
    """The reason for which a fire time did not run."""

    OVERLAP = "overlap"
    """A run of its job was still active."""
    LATE = "late"
    """A scheduler saw it later than its grace allows."""
    CROWDED = "crowded"
    """More fire times of its job were due at once than may run together."""
    PAUSED = "paused"
    """Its job was paused before a scheduler claimed it."""
    CHANGED = "changed"
    """Its job was removed, or given another trigger, before a scheduler claimed it."""
    PERSON = "person"
    """A person skipped it."""


# The causes are told apart by the beginning of the reason, as the planner and the services write it.
_BEGINNINGS = (
    (Cause.OVERLAP, "run "), (Cause.CROWDED, "more fire times "), (Cause.PAUSED, "its job was paused"),
    (Cause.CHANGED, "its job was "), (Cause.PERSON, "left out by "),
)  # fmt: skip


@dataclass(slots=True)
class Bucket:
    """The runs of a period by status, and the number of its fire times that did not run."""

    since: datetime
    until: datetime
    by_status: Counter[str] = field(default_factory=Counter)
    not_run: int = 0

    @property
    def failed(self) -> int:
        """The number of failed runs."""
        return sum(self.by_status[status] for status in FAILURES)

    @property
    def succeeded(self) -> int:
        """The number of successful runs."""
        return self.by_status[RunStatus.SUCCEEDED]

    @property
    def missed(self) -> int:
        """The number of rows for fire times that were seen too late."""
        return self.by_status[RunStatus.MISSED]

    @property
    def skipped(self) -> int:
        """The number of rows for skipped fire times."""
        return self.by_status[RunStatus.SKIPPED]

    @property
    def ran(self) -> int:
        """The number of runs, without the rows for fire times that did not run."""
        return sum(self.by_status.values()) - self.missed - self.skipped

    @property
    def success_rate(self) -> float | None:
        """The share of the ended runs that succeeded, from 0 to 1; None if no run has ended."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


def buckets(until: datetime, length: timedelta, count: int) -> list[Bucket]:
    """Return the runs of the last `count` periods of `length`, a whole number of hours; the last one is not over.

    The periods begin at whole hours of UTC; periods of days begin at midnight.
    """
    end = _ceiling(until, length)
    edges = [end - length * number for number in range(count, -1, -1)]
    found = [Bucket(since, before) for since, before in pairwise(edges)]
    with connection.cursor() as cursor:
        cursor.execute(*_by_period(edges[0], length, count))
        for period, status, number, fire_times in cursor.fetchall():
            found[period].by_status[status] += int(number)
            found[period].not_run += int(fire_times) if status in DID_NOT_RUN else 0
    return found


def total(parts: Sequence[Bucket]) -> Bucket:
    """Return `parts` as one bucket."""
    result = Bucket(parts[0].since, parts[-1].until)
    for part in parts:
        result.by_status += part.by_status
        result.not_run += part.not_run
    return result


def unscheduled(since: datetime, until: datetime) -> int:
    """Return the number of manual runs, retries and runs of backfills (index `run_unscheduled`)."""
    runs = Run.objects.filter(scheduled_time__gte=since, scheduled_time__lt=until).without_tests()
    return sum(runs.made_by(trigger).count() for trigger in UNSCHEDULED)


def start_delays(until: datetime) -> list[float]:
    """Return the seconds from fire time to start of the latest runs before `until`, the shortest first.

    Only scheduled runs count: a manual run or a retry has no fire time of its own.
    """
    newest = Run.objects.filter(scheduled_time__lt=until).order_by("-scheduled_time", "-id")
    rows = newest.values_list("scheduled_time", "started_at", "trigger", "attempt")[:SAMPLE]
    return sorted(
        (started - at).total_seconds()
        for at, started, trigger, attempt in rows
        if at and started and trigger not in UNSCHEDULED and attempt == 1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun:
    """Fire times that did not run for one reason: their number, their jobs (most first), and the latest one."""

    why: Cause
    number: int
    jobs: tuple[tuple[str, int], ...]
    latest: datetime


def not_run(since: datetime, until: datetime, job_id: str | None = None) -> list[NotRun]:
    """Return the fire times from `since` to `until` that did not run, by reason; the most frequent first."""
    runs = Run.objects.filter(scheduled_time__gte=since, scheduled_time__lt=until).did_not_run()
    if job_id is not None:
        runs = runs.filter(job_id=job_id)
    rows = runs.annotate(why=_CAUSE_SQL).values("why", "job_id").annotate(n=Sum("fire_times"), at=Max("scheduled_time"))
    by_reason: dict[str, list[Any]] = {}
    for row in rows.order_by("-n", "job_id"):
        by_reason.setdefault(row["why"], []).append(row)
    found = [
        NotRun(
            why=Cause(why),
            number=sum(row["n"] for row in rows),
            jobs=tuple((row["job_id"], row["n"]) for row in rows),
            latest=max(row["at"] for row in rows),
        )
        for why, rows in by_reason.items()
    ]
    return sorted(found, key=lambda one: -one.number)


_CAUSE_SQL = Case(
    When(status=RunStatus.MISSED, then=Value(Cause.LATE.value)),
    *(When(reason__startswith=text, then=Value(cause.value)) for cause, text in _BEGINNINGS),
    default=Value(Cause.CHANGED.value),
    output_field=CharField(),
)
"""`cause_of` in SQL."""


def cause_of(status: str, reason: str) -> Cause:
    """Return the cause of a missed or skipped run with this status and reason."""
    if status == RunStatus.MISSED:
        return Cause.LATE
    return next((cause for cause, text in _BEGINNINGS if reason.startswith(text)), Cause.CHANGED)


# Three parts: the hours of the statistics, the runs that they have not counted yet, and the runs that they passed by.
# The times of runs are not compared in WHERE: SQLite would read the index of all runs. The id up to which runs are
# counted is also a parameter: after an id that it does not know, PostgreSQL expects a third of all runs.
_BY_PERIOD = (
    "SELECT period, status, SUM(runs), SUM(fire_times) FROM ("
    "SELECT {hour} AS period, status, count AS runs, fire_times FROM cronzimus_sitehour WHERE hour >= %s "
    "UNION ALL SELECT {scheduled_time}, status, 1, fire_times FROM cronzimus_run "
    "WHERE id > %s AND id > COALESCE((SELECT counted FROM cronzimus_rollup), 0) AND NOT job_id LIKE '~%%' "
    "UNION ALL SELECT {scheduled_time}, status, 1, fire_times FROM cronzimus_run "
    "WHERE id IN (SELECT run_id FROM cronzimus_uncounted) AND NOT job_id LIKE '~%%'"
    ") AS counted WHERE period >= 0 AND period < %s GROUP BY period, status"
)
_PERIOD = {
    # A division of integers rounds towards zero. One period more keeps the number above zero, and is taken off again.
    "sqlite": "(unixepoch({column}) - {since} + {length}) / {length} - 1",
    "postgresql": "floor((EXTRACT(EPOCH FROM {column})::float8 - {since}) / {length})::integer",
}


def _by_period(since: datetime, length: timedelta, count: int) -> tuple[str, list[Any]]:
    """Return the statement that counts runs by the number of their period and by status."""
    form, numbers = _PERIOD[connection.vendor], {"since": int(since.timestamp()), "length": length // SECOND}
    columns = {column: form.format(column=column, **numbers) for column in ("hour", "scheduled_time")}
    counted = RollUp.objects.values_list("counted", flat=True).first() or 0
    return _BY_PERIOD.format(**columns), [connection.ops.adapt_datetimefield_value(since), counted, count]


def _ceiling(at: datetime, length: timedelta) -> datetime:
    midnight = datetime(at.year, at.month, at.day, tzinfo=UTC)
    step = min(length, timedelta(days=1))
    return midnight + step * (int((at - midnight) / step) + 1)
