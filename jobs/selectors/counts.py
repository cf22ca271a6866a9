"""Counts of jobs by state and of active runs, and the schedulers that are alive: one query each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import BooleanField, Count, ExpressionWrapper, Q

from ..core.runs import FAILURES, TEST_MARK, JobState, RunStatus
from ..functions import registry
from ..models import Control, Job, Run, Scheduler
from ..models.job import JobQuerySet

MAX_ROWS = 10_000_000
"""The last offset of a page, because databases limit the size of numbers."""
DEAD_FOR = timedelta(hours=24)
"""Time for which a dead scheduler is shown beside the living ones."""


class Kind(NamedTuple):
    """A kind of jobs that people count and filter: in one of `states` (any, if empty), and matching `also`."""

    states: tuple[JobState, ...] = ()
    also: Q = Q()

    @property
    def condition(self) -> Q:
        """The condition on jobs with their state, as `judged` returns them."""
        return Q(state__in=self.states) & self.also if self.states else self.also


_ACTIVE = (JobState.PENDING, JobState.RUNNING)
KINDS: dict[str, Kind] = {
    "active": Kind(_ACTIVE),
    "paused": Kind((JobState.PAUSED,)),
    "failing": Kind(_ACTIVE, Q(last_status__in=FAILURES)),
    "running": Kind(also=Q(pk__in=Run.objects.active().filter(status=RunStatus.RUNNING).values("job_id"))),
    "never": Kind(also=Q(last_run_at=None)),
    "completed": Kind((JobState.COMPLETED,)),
    "broken": Kind((JobState.BROKEN,)),
}
"""The kinds of jobs by their names. They overlap."""
COUNTED_KINDS = {name: kind for name, kind in KINDS.items() if name != "running"}
"""The kinds that `job_counts` counts. Running jobs are counted by their active runs."""


def known_functions() -> list[str]:
    """Return the references of the registered functions."""
    return [function.reference for function in registry.functions()]


def judged(now: datetime) -> JobQuerySet:
    """Return all jobs with their state at `now`, as far as SQL can find it: see `JobQuerySet.with_state`."""
    return Job.objects.with_state(now, functions=known_functions())


def jobs_of(kind: str, now: datetime) -> JobQuerySet:
    """Return the jobs of one of `KINDS`, by the same rule as the counts."""
    return judged(now).filter(KINDS[kind].condition)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """The number of jobs, in all and of each kind in `COUNTED_KINDS`."""

    all: int
    active: int
    paused: int
    failing: int
    never: int
    completed: int
    broken: int


def job_counts(now: datetime) -> JobCounts:
    """Count the jobs at `now`, in one query.

    SQL does not find every broken definition: such jobs count by their other state. Lists and filters read the
    definitions (`job_list.in_states`).
    """
    # By groups, not with a filter for each count, which would repeat the long CASE of the state.
    also = {
        f"is_{name}": ExpressionWrapper(kind.also, BooleanField()) for name, kind in COUNTED_KINDS.items() if kind.also
    }
    groups = judged(now).annotate(**also).values("state", *also).annotate(jobs=Count("pk")).order_by()
    found = list(groups)

    def total(name: str, kind: Kind) -> int:
        return sum(
            group["jobs"]
            for group in found
            if (not kind.states or group["state"] in kind.states) and group.get(f"is_{name}", True)
        )

    every = {name: total(name, kind) for name, kind in COUNTED_KINDS.items()}
    return JobCounts(all=sum(group["jobs"] for group in found), **every)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """The numbers of queued runs, of running runs, and of jobs with a running run."""

    queued: int
    running: int
    jobs: int


def run_counts() -> RunCounts:
    """Count the active runs (index `run_held`)."""
    running = Q(status=RunStatus.RUNNING)
    found = Run.objects.active().aggregate(
        queued=Count("pk", filter=~running),
        running=Count("pk", filter=running),
        jobs=Count("job_id", filter=running & ~Q(job__id__startswith=TEST_MARK), distinct=True),
    )
    return RunCounts(**found)


def schedulers(now: datetime) -> list[Scheduler]:
    """Return the schedulers that have not stopped and have a recent heartbeat, the living ones first."""
    recent = Scheduler.objects.filter(stopped_at__isnull=True, heartbeat_at__gt=now - DEAD_FOR).order_by("id")
    return sorted(recent, key=lambda scheduler: not scheduler.is_alive(now))


def all_paused() -> Control | None:
    """Return the pause of all claiming (who, when and why), or None."""
    return Control.objects.filter(pk=1, paused=True).first()
