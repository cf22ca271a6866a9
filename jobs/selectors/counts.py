"""How many jobs are in which state, how many runs are active, and which schedulers live: one query each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from ..core.runs import RunStatus
from ..functions import registry
from ..models import Control, Job, Run, Scheduler

FAILURES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)
"""Statuses after which an active job counts as failing. A run that a person cancelled is no failure."""
DEAD_FOR = timedelta(hours=24)
"""How long a scheduler that died is shown beside those that live."""


def broken() -> Q:
    """Match the jobs that cannot run: their function is not registered, or a scheduler found their row damaged."""
    known = [function.reference for function in registry.functions()]
    return ~Q(func__in=known) | (~Q(error="") & Q(next_run_time=None))


def paused(now: datetime) -> Q:
    """Match the jobs that `states.is_paused` finds paused at `now`."""
    return Q(paused=True) | Q(paused_until__isnull=False, paused_until__gt=now)


def active(now: datetime) -> Q:
    """Match the jobs that have a fire time to come."""
    return Q(next_run_time__isnull=False) & ~paused(now) & ~broken()


def failing(now: datetime) -> Q:
    """Match the active jobs whose last run failed."""
    return active(now) & Q(last_status__in=FAILURES)


def _running(now: datetime) -> Q:
    return Q(pk__in=Run.objects.active().filter(status=RunStatus.RUNNING).values("job_id"))


JOB_STATES: dict[str, Callable[[datetime], Q]] = {
    "active": active,
    "paused": lambda now: paused(now) & ~broken(),
    "failing": failing,
    "running": _running,
    "never": lambda now: Q(last_run_at=None),
    "completed": lambda now: Q(next_run_time=None) & ~paused(now) & ~broken(),
    "broken": lambda now: broken(),
}
"""The states by which people count and filter jobs, each with its condition at an instant. They overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """How many jobs there are, in all and by the states of `JOB_STATES`, but for those that have a running run."""

    all: int
    active: int
    paused: int
    failing: int
    never: int
    completed: int
    broken: int


def job_counts(now: datetime) -> JobCounts:
    """Count the jobs at `now`."""
    conditions = {name: match(now) for name, match in JOB_STATES.items() if name != "running"}
    # The aliases may not be names of fields: the conditions would mean the counts.
    counts = {f"{name}_jobs": Count("pk", filter=match) for name, match in conditions.items()}
    found = Job.objects.aggregate(all_jobs=Count("pk"), **counts)
    return JobCounts(**{name.removesuffix("_jobs"): number for name, number in found.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """How many runs are queued and running, and how many jobs have a running run."""

    queued: int
    running: int
    jobs: int


def run_counts() -> RunCounts:
    """Count the active runs (index `run_held`)."""
    running = Q(status=RunStatus.RUNNING)
    found = Run.objects.active().aggregate(
        queued=Count("pk", filter=~running),
        running=Count("pk", filter=running),
        jobs=Count("job_id", filter=running, distinct=True),
    )
    return RunCounts(**found)


def schedulers(now: datetime) -> list[Scheduler]:
    """Return the schedulers that have not stopped and whose last heartbeat is recent, the living ones first."""
    recent = Scheduler.objects.filter(stopped_at__isnull=True, heartbeat_at__gt=now - DEAD_FOR).order_by("id")
    return sorted(recent, key=lambda scheduler: not scheduler.is_alive(now))


def all_paused() -> Control | None:
    """Return who paused all claiming, when and why. None: nobody has."""
    return Control.objects.filter(pk=1, paused=True).first()
