"""The runs and the fire times to come of a period: run by run, or by the hour if there are too many runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q

from ..core.exceptions import CronzimusError
from ..core.runs import ACTIVE, host_of
from ..definitions.triggers import trigger_of
from ..models import Job, Run, RunHour
from ..models.job import JobQuerySet
from ..models.run import RunQuerySet

MOST_BARS = 2000
"""Runs that are drawn one by one."""
MOST_TO_COME = 200
"""Fire times to come of one job that are drawn."""
LOOK_BACK = timedelta(hours=6)
"""Time before the period in which runs that reach into it are looked for; active runs are found at any age."""


class Bar(NamedTuple):
    """A run on the timeline. `since` is its start, or else its fire time; `until` is None while it runs."""

    id: int
    job_id: str
    status: str
    at: datetime
    since: datetime
    until: datetime | None
    host: str
    fire_times: int


def jobs_between(jobs: JobQuerySet, since: datetime, until: datetime) -> JobQuerySet:
    """Return the jobs among `jobs` that may have run since `since`, or are due before `until`."""
    active = Run.objects.active().values("job_id")
    return jobs.filter(Q(last_run_at__gte=since) | Q(next_run_time__lt=until) | Q(pk__in=active)).order_by("id")


def bars_of(job_ids: Sequence[str], since: datetime, until: datetime) -> list[Bar] | None:
    """Return the runs of `job_ids` between two instants (index `run_once`); None if they are too many to be drawn."""
    runs = Run.objects.filter(job_id__in=job_ids, scheduled_time__gte=since - LOOK_BACK, scheduled_time__lt=until)
    found = list(runs.order_by().values_list(*_COLUMNS)[: MOST_BARS + 1])
    if len(found) > MOST_BARS:
        return None
    longer = Run.objects.active().filter(job_id__in=job_ids, scheduled_time__lt=since - LOOK_BACK)
    found += longer.order_by().values_list(*_COLUMNS)[:MOST_BARS]
    return _bars(found, since)


def newest_bars(since: datetime, until: datetime, runs: RunQuerySet | None = None) -> tuple[list[Bar], bool]:
    """Return the newest runs between two instants, and whether there are more: of `runs`, or else of all jobs."""
    runs = Run.objects.all() if runs is None else runs
    runs = runs.filter(scheduled_time__gte=since, scheduled_time__lt=until).without_tests()
    runs = runs.order_by("-scheduled_time", "-id")
    found = list(runs.values_list(*_COLUMNS)[: MOST_BARS + 1])
    return _bars(found[:MOST_BARS], since), len(found) > MOST_BARS


_COLUMNS = ("id", "job_id", "status", "scheduled_time", "started_at", "finished_at", "scheduler_id", "fire_times")


def _bars(rows: Iterable[tuple[Any, ...]], since: datetime) -> list[Bar]:
    bars = []
    for pk, job_id, status, at, started, ended, scheduler_id, fire_times in rows:
        begun = started or at
        if begun is None or (ended is not None and ended < since and status not in ACTIVE):
            continue
        bars.append(Bar(pk, job_id, status, at or begun, begun, ended, host_of(scheduler_id), fire_times))
    return sorted(bars, key=lambda bar: (bar.since, bar.id))


class Hour(NamedTuple):
    """The number of a job's runs that were due in an hour and ended with one status."""

    job_id: str
    hour: datetime
    status: str
    number: int


def hours_of(job_ids: Sequence[str], since: datetime, until: datetime) -> list[Hour]:
    """Return the runs of `job_ids` by the hour (index `run_hour_once`)."""
    rows = RunHour.objects.filter(job_id__in=job_ids, hour__gte=since - timedelta(hours=1), hour__lt=until)
    return [Hour(*row) for row in rows.order_by().values_list("job_id", "hour", "status", "count")]


def to_come(job: Job, until: datetime) -> list[datetime]:
    """Return the fire times of a job that are still to come before `until`."""
    if job.next_run_time is None or job.next_run_time >= until:
        return []
    found = [job.next_run_time]
    try:
        trigger = trigger_of(job)
    except CronzimusError:
        return found
    while len(found) < MOST_TO_COME and (at := trigger.next_after(found[-1])) is not None and at < until:
        found.append(at)
    return found
