"""Decide what becomes of a job that is due: which fire times run, which do not and why, and when it is due next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .runs import RunStatus
from .triggers import Trigger

CATCH_UP = 100
"""Fire times that one plan handles one by one, where they are not coalesced; the rest stay due for the next plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a job's definition says of fire times that are late, several, or come while it is active.

    `misfire_grace_time` is in seconds, None for any lateness.
    """

    misfire_grace_time: int | None = None
    coalesce: bool = True
    max_instances: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run to be written: queued, or born finished as missed or skipped, for `reason`.

    It stands for `fire_times` fire times, of which `scheduled_time` is the latest.
    """

    scheduled_time: datetime
    status: RunStatus = RunStatus.QUEUED
    fire_times: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The runs to write, and when the job is due next (None: never again)."""

    runs: tuple[PlannedRun, ...]
    next_run_time: datetime | None


def plan(trigger: Trigger, due_at: datetime, policy: Policy, *, active: Sequence[int], now: datetime) -> Plan:
    """Plan the fire times of a job from `due_at`, the earliest not yet claimed, to `now`.

    `active` has the ids of the job's active runs. Each fire time up to `now` is in exactly one of the planned runs,
    but for those beyond `CATCH_UP` of a job that does not coalesce, which stay due. The work and the memory that it
    takes do not grow with the number of fire times.
    """
    following = trigger.next_after(due_at)
    if following is None or following > now:
        fired = _Fired(times=(due_at,), missed=None, next_run_time=following)
    elif policy.coalesce:
        fired = _coalesced(trigger, due_at, now)
    else:
        fired = _one_by_one(trigger, due_at, policy, now)
    return _decide(fired, policy, active, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fired:
    """Fire times that have come: those that may run, what stands for those long gone, and the next one."""

    times: tuple[datetime, ...]
    missed: PlannedRun | None
    next_run_time: datetime | None
    coalesced: int = 1


def _coalesced(trigger: Trigger, due_at: datetime, now: datetime) -> _Fired:
    latest = trigger.latest_until(now) or due_at
    return _Fired(
        times=(latest,),
        missed=None,
        coalesced=1 + trigger.count(due_at, now),
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
    ahead = [first, *trigger.fire_times(first, CATCH_UP)]
    times = tuple(at for at in ahead[:CATCH_UP] if at <= now)
    return _Fired(times=times, missed=missed, next_run_time=next(iter(ahead[len(times) :]), None))


def _decide(fired: _Fired, policy: Policy, active: Sequence[int], now: datetime) -> Plan:
    grace = policy.misfire_grace_time
    runs = [fired.missed] if fired.missed else []
    in_time = [at for at in fired.times if grace is None or now - at <= timedelta(seconds=grace)]
    if len(in_time) < len(fired.times):
        runs.append(_missed(fired.times[-1], policy, now, fire_times=fired.coalesced))
    free = max(policy.max_instances - len(active), 0)
    runs += [PlannedRun(scheduled_time=at, fire_times=fired.coalesced) for at in in_time[:free]]
    if in_time[free:]:
        runs.append(_skipped(in_time[free:], fired.coalesced, policy, active))
    return Plan(runs=tuple(runs), next_run_time=fired.next_run_time)


def _missed(at: datetime, policy: Policy, now: datetime, *, fire_times: int) -> PlannedRun:
    late = (now - at).total_seconds()
    reason = f"seen {late:,.1f} s late; misfire_grace_time is {policy.misfire_grace_time} s"
    return PlannedRun(scheduled_time=at, status=RunStatus.MISSED, fire_times=fire_times, reason=reason)


def _skipped(times: Sequence[datetime], coalesced: int, policy: Policy, active: Sequence[int]) -> PlannedRun:
    what = f"run {active[0]} was active" if active else "more fire times were due at once than may run together"
    reason = f"{what}; max_instances is {policy.max_instances}"
    fire_times = max(coalesced, len(times))
    return PlannedRun(scheduled_time=times[-1], status=RunStatus.SKIPPED, fire_times=fire_times, reason=reason)
