"""The fate of a fire time in a few situations, as the scheduler's own planning decides it for the job of today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from ...core.exceptions import CronzimusError
from ...core.planning import IDLE, Busy, Plan, PlannedRun, Policy, plan
from ...core.retries import Retries, attempts_allowed, retry_delay
from ...core.runs import Overlap, RunStatus
from ...core.triggers import Trigger
from ...definitions.triggers import trigger_of
from ...models import Job
from ..lists import named
from ..times import duration

OUTAGE = timedelta(hours=1)
"""The time for which no scheduler runs, in the example of an outage."""
WAITS = 5
"""Waits before retries that are named."""


class Foreseen(NamedTuple):
    """A situation at a fire time, and the result."""

    situation: str
    result: str


def foreseen(job: Job, at: datetime) -> list[Foreseen]:
    """Return the results of the fire time `at` of `job`, by situation; none if the job is damaged."""
    try:
        return list(_cases(job, trigger_of(job), _policy_of(job), at))
    except (CronzimusError, TypeError, ValueError, AttributeError):  # a damaged row of SQLite may hold anything
        return []


def _policy_of(job: Job) -> Policy:
    left = None if job.max_runs is None else max(job.max_runs - job.claimed_count, 0)
    return Policy(
        misfire_grace_time=job.misfire_grace_time, coalesce=job.coalesce, max_instances=job.max_instances,
        overlap=Overlap(job.overlap), queue_limit=job.queue_limit, runs_left=left,
    )  # fmt: skip


def _cases(job: Job, trigger: Trigger, policy: Policy, at: datetime) -> Iterator[Foreseen]:
    free = plan(trigger, at, policy, busy=IDLE, now=at)
    yield Foreseen("Nothing is in its way", "It runs." if _queued(free) else "It does not run: max_runs is reached.")
    most = policy.max_instances
    busy = plan(trigger, at, policy, busy=Busy(held=range(most)), now=at)
    yield Foreseen("Its last run is still going" if most == 1 else f"{most} runs are still going", _beside(busy))
    late = plan(trigger, at, policy, busy=IDLE, now=at + OUTAGE)
    yield Foreseen("No scheduler runs until an hour later", _late(late, policy, at + OUTAGE))
    yield Foreseen("Its run fails", _retried(job))
    if job.timeout is not None:
        limit = duration(timedelta(seconds=job.timeout))
        yield Foreseen(f"Its run takes longer than {limit}", "It is stopped, and has timed out.")


def _queued(planned: Plan) -> list[PlannedRun]:
    return [run for run in planned.runs if run.status is RunStatus.QUEUED]


def _beside(planned: Plan) -> str:
    """Return the result beside runs that are still going."""
    if planned.replaced:
        return "The oldest of them is cancelled, and it runs once that has ended."
    if queued := _queued(planned):
        return "It waits until one of them has ended." if queued[0].waits else "It runs beside them."
    return "It is skipped."


def _late(planned: Plan, policy: Policy, now: datetime) -> str:
    """Return the results of all fire times of an outage that ends at `now`."""
    parts = []
    if queued := _queued(planned):
        covered = sum(run.fire_times for run in queued)
        if len(queued) < covered:
            parts.append(f"one run stands for {covered:,} fire times")
        else:
            parts.append("it runs late" if covered == 1 else f"{covered:,} fire times run late")
    missed = sum(run.fire_times for run in planned.runs if run.status is RunStatus.MISSED)
    if missed:
        grace = duration(timedelta(seconds=policy.misfire_grace_time or 0))
        parts.append(f"{missed:,} {'is' if missed == 1 else 'are'} missed, later than the grace of {grace}")
    skipped = sum(run.fire_times for run in planned.runs if run.status is RunStatus.SKIPPED)
    if skipped:
        parts.append(f"{skipped:,} {'is' if skipped == 1 else 'are'} skipped, more than may run at once")
    if planned.next_run_time is not None and planned.next_run_time <= now:
        parts.append("more follow")
    return f"{named(parts)[:1].upper()}{named(parts)[1:]}." if parts else "It does not run: max_runs is reached."


def _retried(job: Job) -> str:
    """Return the result of a failure: when it is tried again."""
    most = attempts_allowed(job.retries)
    if most == 1:
        return "It is not tried again."
    retries = Retries.of(job.retries)
    waits = [retry_delay(retries, attempt, key=job.pk) for attempt in range(1, min(most, WAITS + 1))]
    words = named([duration(wait) for wait in waits if wait is not None])
    more = f", and so on, {most:,} attempts in all" if most - 1 > WAITS else ""
    return f"It is tried again after {words}{more}."
