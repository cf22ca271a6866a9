"""Decide for a due job which fire times run, which do not and why, and when it is due next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from .runs import Overlap, RunStatus
from .times import MICROSECOND
from .triggers import Trigger

CATCH_UP = 100
"""Runs that one plan queues, at most, for a job that does not coalesce. Later fire times wait for the next plan."""


class Policy(NamedTuple):
    """The policies of a job for late fire times, for several at once, and for fire times while it is active.

    `misfire_grace_time` is in seconds; None allows any lateness. `queue_limit` is how many runs may wait with the
    overlap `queue`. `runs_left` is how many more runs the job may have; None allows any number.
    """

    misfire_grace_time: int | None = None
    coalesce: bool = True
    max_instances: int = 1
    overlap: Overlap = Overlap.SKIP
    queue_limit: int = 10
    runs_left: int | None = None


class Busy(NamedTuple):
    """The ids of a job's active runs, oldest first: `held` by a scheduler, or `waiting` for one.

    `later` has the retries whose delay is not over. They take no instance and no place in the queue, so the schedule
    goes on meanwhile. A newer run replaces them like any other.
    """

    held: Sequence[int] = ()
    waiting: Sequence[int] = ()
    later: Sequence[int] = ()

    @property
    def all(self) -> tuple[int, ...]:
        """The runs that take an instance."""
        return (*self.held, *self.waiting)


IDLE = Busy()
"""No active run."""


class PlannedRun(NamedTuple):
    """A run to write: queued, or born finished (missed or skipped) for `reason`.

    It stands for `fire_times` fire times; `scheduled_time` is the latest of them. A queued run that `waits` may start
    only when another run of its job has ended.
    """

    scheduled_time: datetime
    status: RunStatus = RunStatus.QUEUED
    fire_times: int = 1
    reason: str = ""
    waits: bool = False


class Plan(NamedTuple):
    """The runs to write, the active runs that they replace, and when the job is due next (None: never again)."""

    runs: tuple[PlannedRun, ...]
    next_run_time: datetime | None
    replaced: tuple[int, ...] = ()


def plan(trigger: Trigger, due_at: datetime, policy: Policy, *, busy: Busy, now: datetime) -> Plan:
    """Plan the fire times of a job from `due_at`, the earliest that is not claimed, to `now`.

    `busy` has the job's active runs. Each fire time up to `now` is in exactly one planned run, except runnable ones
    beyond `CATCH_UP`, which stay due. Time, memory and rows do not grow with the number of fire times: all fire times
    that may not run share one row.
    """
    following = trigger.next_after(due_at)
    if following is None or following > now:
        fired = _Fired(times=(due_at,), missed=None, next_run_time=following)
    elif policy.coalesce:
        fired = _coalesced(trigger, due_at, now)
    else:
        fired = _one_by_one(trigger, due_at, policy, now)
    return _decide(fired, policy, busy, now)


class _Fired(NamedTuple):
    """Fire times up to now: `times` that may run, one `missed` run for all that are too late, and the next one.

    The run of a coalescing job stands for `fire_times` fire times; every other run stands for one.
    `rest` more fire times are not among `times`, the latest of them at `rest_until`. They begin at `rest_from`; if that
    is None, they are older than all of `times`.
    """

    times: tuple[datetime, ...]
    missed: PlannedRun | None
    next_run_time: datetime | None
    fire_times: int = 1
    rest: int = 0
    rest_from: datetime | None = None
    rest_until: datetime | None = None


def _coalesced(trigger: Trigger, due_at: datetime, now: datetime) -> _Fired:
    latest = trigger.latest_until(now) or due_at
    return _Fired(
        times=(latest,),
        missed=None,
        fire_times=1 + trigger.count(due_at, now),
        next_run_time=trigger.next_after(now),
    )


def _one_by_one(trigger: Trigger, due_at: datetime, policy: Policy, now: datetime) -> _Fired:
    first, missed = due_at, None
    if policy.misfire_grace_time is not None:
        cutoff = now - timedelta(seconds=policy.misfire_grace_time, microseconds=1)
        gone = trigger.latest_until(cutoff)
        if due_at <= cutoff and gone is not None:
            missed = _missed(max(gone, due_at), policy, now, fire_times=1 + trigger.count(due_at, cutoff))
            following = trigger.next_after(cutoff)
            if following is None or following > now:
                return _Fired(times=(), missed=missed, next_run_time=following)
            first = following
    chosen = _newest if policy.overlap is Overlap.REPLACE else _oldest
    return chosen(trigger, first, policy, now)._replace(missed=missed)


def _oldest(trigger: Trigger, first: datetime, policy: Policy, now: datetime) -> _Fired:
    ahead = [first, *trigger.fire_times(first, CATCH_UP)]
    times = tuple(at for at in ahead[:CATCH_UP] if at <= now)
    following = next(iter(ahead[len(times) :]), None)
    if following is None or following > now:
        return _Fired(times=times, missed=None, next_run_time=following)
    return _Fired(
        times=times, missed=None, next_run_time=trigger.next_after(now),
        rest=trigger.count(times[-1], now), rest_from=following, rest_until=trigger.latest_until(now),
    )  # fmt: skip


def _newest(trigger: Trigger, first: datetime, policy: Policy, now: datetime) -> _Fired:
    times = [_before(trigger, first, now)]
    while times[0] > first and len(times) < min(policy.max_instances, CATCH_UP):
        times.insert(0, _before(trigger, first, times[0] - MICROSECOND))
    return _Fired(
        times=tuple(times), missed=None, next_run_time=trigger.next_after(now),
        rest=1 + trigger.count(first, now) - len(times), rest_until=_before(trigger, first, times[0] - MICROSECOND),
    )  # fmt: skip


def _before(trigger: Trigger, first: datetime, until: datetime) -> datetime:
    return max(trigger.latest_until(until) or first, first)


def _decide(fired: _Fired, policy: Policy, busy: Busy, now: datetime) -> Plan:
    grace = policy.misfire_grace_time
    runs = [fired.missed] if fired.missed else []
    in_time = [at for at in fired.times if grace is None or now - at <= timedelta(seconds=grace)]
    if len(in_time) < len(fired.times):
        runs.append(_missed(fired.times[-1], policy, now, fire_times=fired.fire_times))
    queued, replaced = _OVERLAPS[policy.overlap](in_time, policy, busy)
    runs += queued if fired.fire_times == 1 else [run._replace(fire_times=fired.fire_times) for run in queued]
    ended = policy.runs_left is not None and len(queued) >= policy.runs_left
    if not ended and fired.rest_from is not None and len(queued) == len(fired.times):
        # More of them may run: they stay due for the next plan.
        return Plan(runs=tuple(runs), next_run_time=fired.rest_from, replaced=replaced)
    if fired.rest or len(queued) < len(in_time):
        skipped = _skipped(fired, in_time, queued, ended, policy, busy)
        runs = sorted([*runs, *skipped], key=lambda run: run.scheduled_time)
    return Plan(runs=tuple(runs), next_run_time=None if ended else fired.next_run_time, replaced=replaced)


def _skip(times: Sequence[datetime], policy: Policy, busy: Busy) -> tuple[list[PlannedRun], tuple[int, ...]]:
    free = max(policy.max_instances - len(busy.all), 0)
    return [PlannedRun(scheduled_time=at) for at in times[:free][: policy.runs_left]], ()


def _queue(times: Sequence[datetime], policy: Policy, busy: Busy) -> tuple[list[PlannedRun], tuple[int, ...]]:
    free = max(policy.max_instances - len(busy.all), 0)
    room = free + max(policy.queue_limit - len(busy.waiting), 0)
    chosen = times[:room][: policy.runs_left]
    return [PlannedRun(scheduled_time=at, waits=place >= free) for place, at in enumerate(chosen)], ()


def _replace(times: Sequence[datetime], policy: Policy, busy: Busy) -> tuple[list[PlannedRun], tuple[int, ...]]:
    newest = times[-policy.max_instances :][: policy.runs_left]
    if not newest:
        return [], ()
    old = (*busy.later, *busy.all)
    replaced = old[: max(len(old) + len(newest) - policy.max_instances, 0)]
    # The new run may not start before the one that it replaces has ended.
    return [PlannedRun(scheduled_time=at, waits=bool(busy.held)) for at in newest], replaced


_OVERLAPS = {Overlap.SKIP: _skip, Overlap.QUEUE: _queue, Overlap.REPLACE: _replace}


def _missed(at: datetime, policy: Policy, now: datetime, *, fire_times: int) -> PlannedRun:
    late = (now - at).total_seconds()
    reason = f"seen {late:,.1f} s late; misfire_grace_time is {policy.misfire_grace_time} s"
    return PlannedRun(scheduled_time=at, status=RunStatus.MISSED, fire_times=fire_times, reason=reason)


def _skipped(
    fired: _Fired, in_time: Sequence[datetime], queued: Sequence[PlannedRun], ended: bool, policy: Policy, busy: Busy
) -> list[PlannedRun]:
    """Return one skipped run for all fire times that were in time and do not run; [] if there are none."""
    taken = {run.scheduled_time for run in queued}
    passed = [at for at in in_time if at not in taken]
    rest = fired.rest
    if ended:
        # The job's schedule ends with its last run, so later times are not fire times.
        passed = [at for at in passed if taken and at < max(taken)]
        rest = rest if taken and fired.rest_from is None else 0
    latest = [*passed, *([fired.rest_until] if rest and fired.rest_until is not None else [])]
    if not latest:
        return []
    what = f"run {busy.all[0]} was active" if busy.all else "more fire times were due at once than may run together"
    reason = f"{what}; max_instances is {policy.max_instances}"
    if policy.overlap is Overlap.QUEUE:
        reason += f", and the queue of {policy.queue_limit} is full"
    fire_times = max(fired.fire_times, len(passed) + rest)
    return [PlannedRun(scheduled_time=max(latest), status=RunStatus.SKIPPED, fire_times=fire_times, reason=reason)]
