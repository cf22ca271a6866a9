"""The last runs of jobs: bars of runs, usual durations, and streaks of failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from ..core.runs import DID_NOT_RUN, FAILURES, UNSCHEDULED, RunStatus
from ..core.statistics import percentile
from .statistics import Cause, cause_of

SHOWN = 40
"""Runs of a job that are shown as bars."""
REASON_LENGTH = 30
"""Characters of a reason that are read: enough to tell the kinds apart."""
_NOT_RUN_SQL = ", ".join(f"'{status}'" for status in DID_NOT_RUN)
"""The statuses of fire times that did not run, as SQL."""
_SCHEDULED_SQL = 'attempt = 1 AND "trigger" NOT IN ({})'.format(", ".join(f"'{trigger}'" for trigger in UNSCHEDULED))
"""The condition of a run that a fire time started, as SQL."""


class Recent(NamedTuple):
    """One of the last runs of a job. `seconds` is its duration; None if it did not start, or has not ended.

    Only running runs have `started`, and only fire times that did not run have `reason`, the beginning of it. `wait` is
    the time in seconds from a fire time to the start of its first attempt; None if a person or a retry started it.
    """

    id: int
    status: str
    at: datetime
    attempt: int
    seconds: float | None
    fire_times: int = 1
    reason: str = ""
    started: datetime | None = None
    wait: float | None = None


def recent_runs(job_ids: Sequence[str], limit: int = SHOWN) -> dict[str, list[Recent]]:
    """Return the last `limit` runs of each job, the newest first, in one query (index `run_once`)."""
    if not job_ids:
        return {}
    found: dict[str, list[Recent]] = {job_id: [] for job_id in job_ids}
    with connection.cursor() as cursor:
        cursor.execute(*_statement(job_ids, limit))
        for job_id, run_id, status, at, attempt, seconds, fire_times, reason, started, wait in cursor.fetchall():
            moment = _instant(at)
            if moment is None:
                continue
            stands_for = fire_times if isinstance(fire_times, int) else 1
            found[job_id].append(
                Recent(run_id, status, moment, attempt, _seconds(seconds), stands_for, reason or "", _instant(started),
                       _seconds(wait))
            )  # fmt: skip
    return found


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _instant(value: Any) -> datetime | None:
    """Return an instant of a row; None if it is damaged, as any value of SQLite may be."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(f"{value}+00:00")
    except ValueError:
        return None


def _statement(job_ids: Sequence[str], limit: int) -> tuple[str, list[Any]]:
    if connection.vendor == "postgresql":
        # A range of `run_once` in its own order, and not `job_id = j.id`: where few jobs have all runs, PostgreSQL
        # would read those of all jobs, newest first, and the whole history for a job that seldom runs.
        return (
            "SELECT j.id, r.* FROM unnest(%s::text[]) AS j(id) CROSS JOIN LATERAL ("  # noqa: S608
            "SELECT id, status, scheduled_time, "
            "attempt, EXTRACT(EPOCH FROM finished_at - started_at)::float, fire_times, "
            f"CASE WHEN status IN ({_NOT_RUN_SQL}) THEN left(reason, {REASON_LENGTH}) END AS reason, "
            "CASE WHEN status = 'running' THEN started_at END AS started, "
            f"CASE WHEN {_SCHEDULED_SQL} THEN EXTRACT(EPOCH FROM started_at - scheduled_time)::float END "
            "FROM cronzimus_run "
            "WHERE (job_id, scheduled_time) >= (j.id, '-infinity') AND (job_id, scheduled_time) <= (j.id, 'infinity') "
            "ORDER BY job_id DESC, scheduled_time DESC, attempt DESC LIMIT %s) AS r",
            [list(job_ids), limit],
        )
    # SQLite has no LATERAL. The cast keeps its driver from parsing the times of thousands of rows.
    names = ", ".join(["(%s)"] * len(job_ids))
    return (
        f"WITH j(id) AS (VALUES {names}) SELECT r.job_id, r.id, r.status, CAST(r.scheduled_time AS TEXT), r.attempt, "  # noqa: S608
        "(julianday(r.finished_at) - julianday(r.started_at)) * 86400.0, r.fire_times, "
        f"CASE WHEN r.status IN ({_NOT_RUN_SQL}) THEN substr(r.reason, 1, {REASON_LENGTH}) END, "
        "CASE WHEN r.status = 'running' THEN CAST(r.started_at AS TEXT) END, "
        f"CASE WHEN {_SCHEDULED_SQL} THEN (julianday(r.started_at) - julianday(r.scheduled_time)) * 86400.0 END "
        "FROM j CROSS JOIN cronzimus_run AS r "
        "ON r.id IN (SELECT id FROM cronzimus_run WHERE job_id = j.id "
        "ORDER BY scheduled_time DESC, attempt DESC LIMIT %s) ORDER BY r.job_id, r.scheduled_time DESC, r.attempt DESC",
        [*job_ids, limit],
    )


@dataclass(frozen=True, slots=True)
class Usual:
    """The durations of a job's last successful runs, in seconds; None without one."""

    median: float | None
    p95: float | None


def usual(runs: Sequence[Recent]) -> Usual:
    """Return the usual durations of `runs`."""
    took = sorted(run.seconds for run in runs if run.seconds is not None and run.status == RunStatus.SUCCEEDED)
    return Usual(percentile(took, 0.5), percentile(took, 0.95))


def usual_wait(runs: Sequence[Recent]) -> float | None:
    """Return the median of the seconds that fire times among `runs` waited for their start; None without one."""
    return percentile(sorted(run.wait for run in runs if run.wait is not None), 0.5)


@dataclass(frozen=True, slots=True)
class Streak:
    """The fire times in a row that failed, up to the latest: their number, the first one, and the last failed run.

    With `more`, all the runs that were read failed, so that there may be more.
    """

    fire_times: int
    since: datetime
    last: Recent
    more: bool


def streak(runs: Sequence[Recent]) -> Streak | None:
    """Return the streak of failures at the beginning of `runs`, the newest first; None if the latest run did not fail.

    The attempts of one fire time count as one. Active runs, and fire times that did not run, neither end a streak nor
    count.
    """
    failed: list[Recent] = []
    for run in runs:
        if run.status in FAILURES:
            failed.append(run)
        elif run.status == RunStatus.SUCCEEDED:
            break
    else:
        return _streak(failed, more=len(runs) >= SHOWN)
    return _streak(failed, more=False)


def _streak(failed: list[Recent], *, more: bool) -> Streak | None:
    if not failed:
        return None
    return Streak(len({run.at for run in failed}), failed[-1].at, failed[0], more)


@dataclass(frozen=True, slots=True)
class Gaps:
    """The last fire times of a job that did not run: their number, the number of all, and the most frequent reason."""

    number: int
    fire_times: int
    why: Cause


def gaps(runs: Sequence[Recent]) -> Gaps | None:
    """Return the fire times among `runs` that did not run; None if all ran."""
    reasons: Counter[Cause] = Counter()
    fire_times: dict[datetime, int] = {}
    for run in runs:
        fire_times[run.at] = max(run.fire_times, fire_times.get(run.at, 0))
        if run.status in DID_NOT_RUN:
            reasons[cause_of(run.status, run.reason)] += run.fire_times
    if not reasons:
        return None
    (why, _), *_ = reasons.most_common(1)
    return Gaps(reasons.total(), sum(fire_times.values()), why)
