"""Runs that failed in the last seven days, grouped by job and kind of error, with counts and state."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet

from ..core.alerts import fingerprint_of
from ..core.runs import RunStatus, host_of
from ..models import Job, Run
from ..models.run import error_start
from .recent import Recent, recent_runs

WINDOWS = {
    "1h": timedelta(hours=1), "3h": timedelta(hours=3), "24h": timedelta(hours=24), "3d": timedelta(days=3),
    "7d": timedelta(days=7),
}  # fmt: skip
"""The columns of the matrix, by their names in the filter of the list of runs."""
DAYS = 7
"""Days for which failures are shown."""
KIND_CHARACTERS = 200
"""Characters of an error that decide its kind."""
MOST_KINDS = 5000
"""Kinds of errors that are read, at most, the latest first."""
VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\b0x[0-9a-fA-F]+\b|\d+")
"""The parts that differ from one occurrence of an error to the next."""


class By(StrEnum):
    """The grouping of failures."""

    JOB_ERROR = "job-error"
    ERROR = "error"
    JOB = "job"
    HOST = "host"


class FailureState(StrEnum):
    """Whether a kind of failure is over."""

    OPEN = "open"
    RECOVERED = "recovered"
    """Its job has succeeded since."""
    REMOVED = "removed"
    """Its job was removed."""


@dataclass(slots=True)
class Failures:
    """Failures of one kind: `counts` for each of `WINDOWS`, and `days` for the last seven days, the earliest first."""

    key: str
    job_id: str
    error: str
    host: str
    first: datetime
    last: datetime
    counts: list[int] = field(default_factory=lambda: [0] * len(WINDOWS))
    days: list[int] = field(default_factory=lambda: [0] * DAYS)
    last_run: int = 0
    jobs: set[str] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)
    state: FailureState = FailureState.OPEN

    @property
    def needle(self) -> str:
        """The longest part of the error that is the same in all its occurrences."""
        return max((part.strip() for part in VARIABLE.split(self.error)), key=len, default="")[:80]


def failures(now: datetime, by: By = By.JOB_ERROR) -> list[Failures]:
    """Return the failures of the last seven days, the latest kind first. Three queries."""
    groups: dict[str, Failures] = {}
    for row in _rows(now, by):
        common = _in_common(by, row["job_id"], row["error_start"], row.get("scheduler_id"))
        key = _key(*common)
        group = groups.setdefault(key, Failures(key, *common, row["first"], row["last"]))
        _add(group, row)
    named = {job_id for group in groups.values() for job_id in group.jobs}
    known = dict(Job.objects.filter(pk__in=named).values_list("pk", "tags"))
    runs = recent_runs(sorted(known))
    for group in groups.values():
        group.tags = {tag for job in group.jobs for tag in _tags(known.get(job))}
        group.state = _state(group, known, runs)
    return sorted(groups.values(), key=lambda group: (group.last, group.last_run), reverse=True)


def to_retry(now: datetime, by: By, keys: Iterable[str], most: int) -> list[int]:
    """Return the runs of the kinds `keys` whose fire times have not succeeded since, the newest first; at most `most`.

    Only the last attempt of a fire time counts, and fire times with an active attempt are left out.
    """
    later = Run.objects.filter(
        job_id=OuterRef("job_id"), scheduled_time=OuterRef("scheduled_time"), attempt__gt=OuterRef("attempt")
    )
    runs = _failed(now).filter(~Exists(later)).annotate(error_start=_ERROR_START).order_by("-scheduled_time", "-id")
    wanted, found = set(keys), []
    for run_id, job_id, error, scheduler in runs.values_list("pk", "job_id", "error_start", "scheduler_id").iterator():
        if _key(*_in_common(by, job_id, error, scheduler)) in wanted:
            found.append(run_id)
            if len(found) >= most:
                break
    return found


_ERROR_START = error_start(KIND_CHARACTERS)


def _failed(now: datetime) -> QuerySet[Run]:
    return Run.objects.failed().without_tests().filter(scheduled_time__gte=now - timedelta(days=DAYS))


def _rows(now: datetime, by: By) -> Iterable[dict[str, Any]]:
    windows = {
        f"w{n}": Count("pk", filter=Q(scheduled_time__gte=now - span)) for n, span in enumerate(WINDOWS.values())
    }
    days = {f"d{n}": Count("pk", filter=Q(scheduled_time__gte=now - timedelta(days=n + 1))) for n in range(DAYS)}
    names = ("job_id", "error_start", *(("scheduler_id",) if by is By.HOST else ()))
    rows = _failed(now).annotate(error_start=_ERROR_START).values(*names)
    spans = {"first": Min("scheduled_time"), "last": Max("scheduled_time"), "last_run": Max("pk")}
    return list(rows.annotate(**windows, **days, **spans).order_by("-last")[:MOST_KINDS])


def _add(group: Failures, row: dict[str, Any]) -> None:
    group.counts = [number + row[f"w{n}"] for n, number in enumerate(group.counts)]
    up_to = [row[f"d{n}"] for n in range(DAYS)]
    by_day = [up_to[0], *(later - earlier for earlier, later in pairwise(up_to))]
    group.days = [one + other for one, other in zip(group.days, reversed(by_day), strict=True)]
    group.first = min(group.first, row["first"])
    group.last, group.last_run = max((group.last, group.last_run), (row["last"], row["last_run"]))
    group.jobs.add(row["job_id"])


def _in_common(by: By, job_id: str, error: str | None, scheduler_id: str | None) -> tuple[str, str, str]:
    """Return what all failures of a run's group share: the job, the first line of the error, and the host, or ""."""
    return (
        job_id if by in (By.JOB, By.JOB_ERROR) else "",
        (error or "").strip().partition("\n")[0] if by in (By.ERROR, By.JOB_ERROR) else "",
        host_of(scheduler_id) if by is By.HOST else "",
    )


def _key(job_id: str, error: str, host: str) -> str:
    kind = fingerprint_of(error) if error else ""
    return blake2b("\n".join((job_id, kind, host)).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _tags(tags: object) -> Iterable[str]:
    return (str(tag) for tag in tags) if isinstance(tags, list) else ()


def _state(group: Failures, known: dict[str, Any], runs: dict[str, list[Recent]]) -> FailureState:
    there = [job for job in group.jobs if job in known]
    if not there:
        return FailureState.REMOVED
    recovered = all(
        any(run.status == RunStatus.SUCCEEDED and run.at >= group.last for run in runs[job]) for job in there
    )
    return FailureState.RECOVERED if recovered else FailureState.OPEN
