"""The fire times of a backfill, and the runs that it queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from ..core.runs import ACTIVE, RunStatus, RunTrigger
from ..core.times import MICROSECOND
from ..models import Backfill, Job, Run
from .policies import executor_of, queue_of
from .triggers import trigger_of

MAX_FIRE_TIMES = 10_000
"""Fire times that one backfill may have."""


def fire_times_of(job: Job, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the fire times of a job's trigger from `start` to `end`, both included. Raises `InvalidTrigger`."""
    trigger = trigger_of(job)
    at = trigger.next_after(start - MICROSECOND)
    while at is not None and at <= end:
        yield at
        at = trigger.next_after(at)


def attempts_at(job: Job, instants: Sequence[datetime]) -> dict[datetime, list[tuple[int, str]]]:
    """Return the attempts (number, status) at each of `instants` that has any."""
    found: dict[datetime, list[tuple[int, str]]] = defaultdict(list)
    runs = Run.objects.filter(job_id=job.pk, scheduled_time__in=instants)
    for at, attempt, status in runs.values_list("scheduled_time", "attempt", "status"):
        found[at].append((attempt, status))
    return found


def is_missing(attempts: Sequence[tuple[int, str]]) -> bool:
    """Tell whether no attempt of a fire time succeeded, and none is active."""
    return not any(status == RunStatus.SUCCEEDED or status in ACTIVE for _, status in attempts)


def is_active(attempts: Sequence[tuple[int, str]]) -> bool:
    """Tell whether an attempt of a fire time has not ended."""
    return any(status in ACTIVE for _, status in attempts)


def backfill_run(backfill: Backfill, job: Job, at: datetime, attempts: Sequence[tuple[int, str]], now: datetime) -> Run:
    """Return the next attempt at a fire time, not saved, with the job's current arguments."""
    return Run(
        job_id=job.pk, func=job.func, args=job.args, kwargs=job.kwargs, status=RunStatus.QUEUED,
        trigger=RunTrigger.BACKFILL, actor=backfill.actor,
        attempt=max((number for number, _ in attempts), default=0) + 1,
        scheduled_time=at, queued_at=now, executor=executor_of(job), queue=queue_of(job), version=job.version,
        timeout=job.timeout, priority=job.priority, concurrency_group=job.concurrency_group, backfill=backfill,
    )  # fmt: skip
