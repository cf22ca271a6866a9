"""The backlog: the jobs and runs that wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce

from ..core.runs import Executor
from ..models import Job, Run
from .workers import Fleet

MAX_COUNTED = 10_000
"""Counts stop here: 10,000 means "or more"."""
MAX_OVERDUE = timedelta(seconds=60)
"""A job that is due for longer is overdue: the schedulers do not keep up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Jobs or runs that wait: their number, at most `MAX_COUNTED`, the longest wait in seconds, and those overdue."""

    number: int
    oldest: float
    overdue: int = 0


def is_overdue(at: datetime, now: datetime) -> bool:
    """Tell whether a fire time `at` that no scheduler has claimed should have been claimed by `now`."""
    return now - at > MAX_OVERDUE


def due_jobs(now: datetime) -> Backlog:
    """Return the jobs with an unclaimed fire time at `now` (a range of the index `job_due`)."""
    late = Count("next_run_time", filter=Q(next_run_time__lt=now - MAX_OVERDUE))
    # Only columns of the index, so that no row is read.
    due = Job.objects.due(now).values("next_run_time")[:MAX_COUNTED]
    found = due.aggregate(number=Count("next_run_time"), oldest=Min("next_run_time"), overdue=late)
    return Backlog(number=found["number"], oldest=_seconds(now, found["oldest"]), overdue=found["overdue"])


def waiting_runs(now: datetime, fleet: Fleet | None = None) -> Backlog:
    """Return the runs that could start at `now` and that no scheduler has taken (a range of `run_startable`).

    A retry waits from the instant at which it may start. Runs that are held up on their way to a worker wait, too;
    `fleet` are the workers, if they were read already.
    """
    since = Run.objects.waiting().annotate(since=Coalesce("available_at", "queued_at"))
    startable = since.filter(since__lte=now).order_by("since").values("since")[:MAX_COUNTED]
    return _with_held_up(startable.aggregate(number=Count("since"), oldest=Min("since")), fleet or Fleet(now))


def stuck_runs(now: datetime, fleet: Fleet | None = None) -> Backlog:
    """Return the runs that have waited longer than `MAX_OVERDUE` without a reason.

    A run that waits behind another run of its job or of its group has a reason, and so has one on its way to busy
    workers. `fleet` are the workers, if they were read already.
    """
    stuck = _stuck(now).order_by("since").values("since")[:MAX_COUNTED]
    return _with_held_up(stuck.aggregate(number=Count("since"), oldest=Min("since")), fleet or Fleet(now))


def late_queues(now: datetime, fleet: Fleet) -> set[str]:
    """Return the queues of workers whose jobs are overdue, or whose runs are stuck."""
    jobs = Job.objects.due(now).filter(next_run_time__lt=now - MAX_OVERDUE, executor=Executor.CELERY)
    runs = _stuck(now).filter(executor=Executor.CELERY, queue__isnull=False)
    found = [rows.order_by().values_list("queue", flat=True).distinct() for rows in (jobs, runs)]
    return {str(queue) for queues in found for queue in queues} | {held.queue for held in fleet.held_up}


def _stuck(now: datetime) -> Any:
    since = Run.objects.waiting().annotate(since=Coalesce("available_at", "queued_at"))
    held = Run.objects.active().filter(scheduler__isnull=False).order_by()
    jobs, groups = held.values("job_id"), held.exclude(concurrency_group="").values("concurrency_group")
    behind = Q(job_id__in=jobs) | Q(concurrency_group__in=groups)
    return since.filter(~behind, since__lt=now - MAX_OVERDUE)


def _with_held_up(found: dict[str, Any], fleet: Fleet) -> Backlog:
    number = found["number"] + sum(held.number for held in fleet.held_up)
    oldest = min([at for at in (found["oldest"], *(held.since for held in fleet.held_up)) if at], default=None)
    return Backlog(number=min(number, MAX_COUNTED), oldest=_seconds(fleet.now, oldest))


def _seconds(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else round((now - since).total_seconds(), 3)
