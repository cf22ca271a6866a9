"""Claim fire times: each claim one transaction, with a number of statements that does not grow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F

from jobs import definitions
from jobs.core.exceptions import CronzimusError, InvalidArguments
from jobs.core.planning import IDLE, Busy, Plan, PlannedRun, Policy, plan
from jobs.core.runs import Overlap, RunStatus, RunTrigger
from jobs.models import Job, Run
from jobs.policies import executor_of

from . import bulk
from .work import HeldRun

logger = logging.getLogger(__name__)

INSERTED = {
    "job_id": "text", "status": "text", "reason": "text", "fire_times": "number", "scheduled_time": "time",
    "executor": "text", "waits": "number", "error": "text",
}  # fmt: skip
MOVED = {"id": "text", "next_run_time": "time", "error": "text", "queued": "number"}
IN_PROCESS = "(executor = 'process' OR timeout IS NOT NULL)"
"""The jobs whose runs need a process of their own."""
REPLACING = (
    "(overlap = 'replace' AND EXISTS (SELECT 1 FROM jobs_run a WHERE a.job_id = jobs_job.id "
    "AND a.status IN ('queued', 'running') AND a.scheduler_id IS NOT NULL))"
)
"""The jobs of which a run is going on that a newer one replaces."""
REPLACED = 100
"""Jobs whose runs are replaced in one claim at the most, where there is no room for others."""


class DueJob(NamedTuple):
    """A due job's row, as raw SQL gives it: JSON as text, and on SQLite instants as text too."""

    id: str
    func: str
    args: str
    kwargs: str
    trigger: str
    anchor: Any
    next_run_time: Any
    executor: str
    misfire_grace_time: int | None
    coalesce: bool
    max_instances: int
    overlap: str
    queue_limit: int
    timeout: int | None
    concurrency_group: str
    max_runs: int | None
    claimed_count: int


class Planned(NamedTuple):
    """A due job, its arguments, its plan, and why it can not be planned: "" where it can."""

    job: DueJob
    args: list[Any]
    kwargs: dict[str, Any]
    plan: Plan
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What one claim took: runs to start, and how many jobs it moved on.

    `unstarted` has, with their jobs' ids, the runs that were born finished, and `replaced` the ids of those that are to
    end for newer ones.
    """

    runs: list[HeldRun] = field(default_factory=list)
    jobs: int = 0
    unstarted: Sequence[tuple[str, PlannedRun]] = ()
    replaced: Sequence[int] = ()


def claim_due(scheduler_id: str, rooms: Mapping[str, int], now: datetime, *, by_priority: bool = True) -> Claimed:
    """Claim fire times that are due at `now`, for the scheduler `scheduler_id`.

    `rooms` has, by executor, how many runs it may be given: as many jobs as the largest has room for are claimed at the
    most; with no room at all, only jobs that replace a run of theirs, which may be what takes the room. They are moved
    on and their runs written in the same transaction: a fire time is claimed once, whoever dies.
    Runs that have to wait for their turn, or for a slot, are written without an owner: any scheduler may have them.
    A job whose row can not be understood is taken off the schedule, and leaves a failed run that says why.

    Without `by_priority` the jobs are claimed in the order in which they fell due alone. Call `end_replaced` with what
    is `replaced` when the transaction has ended.
    """
    with transaction.atomic(savepoint=False):
        jobs = _due_jobs(rooms, now, by_priority=by_priority)
        if not jobs:
            return Claimed()
        busy = _busy([job.id for job in jobs], now)
        planned = [_plan(job, busy.get(job.id, IDLE), now) for job in jobs]
        _move_on(planned)
        _count_failed(planned, now)
        held = _insert(planned, scheduler_id, dict(rooms), now)
    unstarted = [
        (found.job.id, run) for found in planned for run in found.plan.runs if run.status is not RunStatus.QUEUED
    ]
    replaced = [run_id for found in planned for run_id in found.plan.replaced]
    return Claimed(runs=held, jobs=len(jobs), unstarted=unstarted, replaced=replaced)


def end_replaced(run_ids: Sequence[int], now: datetime) -> None:
    """Have the runs `run_ids` end, which newer ones replace.

    Not under the locks of the jobs: whoever writes the end of such a run locks it first, and its job then.
    """
    Run.objects.filter(id__in=run_ids).cancel("replaced by a newer run of its job", now)


def most(rooms: Mapping[str, int]) -> int:
    """Return how many jobs `claim_due` claims at the most, where there is room."""
    return max(rooms.values(), default=0)


def _due_jobs(rooms: Mapping[str, int], now: datetime, *, by_priority: bool) -> list[DueJob]:
    sql = _due_sql(connection.vendor, by_priority, process=bool(rooms.get("process")), thread=bool(rooms.get("thread")))
    with connection.cursor() as cursor:
        cursor.execute(sql, [bulk.instant(now), most(rooms) or REPLACED])
        return [DueJob._make(row) for row in cursor.fetchall()]


@cache
def _due_sql(vendor: str, by_priority: bool, *, process: bool, thread: bool) -> str:
    # On SQLite instants are read as text: one that is damaged fails its own job, and not the whole statement.
    instant = {"anchor", "next_run_time"} if vendor == "sqlite" else set()
    columns = ", ".join(bulk.as_text(name) if name in instant else f'"{name}"' for name in DueJob._fields)
    only = {
        (True, True): "", (True, False): f"AND {IN_PROCESS}", (False, True): f"AND NOT {IN_PROCESS}",
        (False, False): f"AND {REPLACING}",
    }[process, thread]  # fmt: skip
    # Schedulers do not wait for each other: each takes the jobs that no other is taking.
    lock = "FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    return (
        f"SELECT {columns} FROM jobs_job WHERE next_run_time <= %s {only} "  # noqa: S608
        f"ORDER BY {'priority DESC, ' if by_priority else ''}next_run_time LIMIT %s {lock}"
    )


def _busy(job_ids: Sequence[str], now: datetime) -> dict[str, Busy]:
    # The jobs' rows are locked: no other scheduler adds a run of theirs between this look and the insert.
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"held": [], "waiting": [], "later": []})
    active = Run.objects.active().filter(job_id__in=job_ids).order_by("id")
    for job_id, run_id, owner, available_at in active.values_list("job_id", "id", "scheduler_id", "available_at"):
        is_later = available_at is not None and available_at > now
        found[job_id]["held" if owner else "later" if is_later else "waiting"].append(run_id)
    return {job_id: Busy(**runs) for job_id, runs in found.items()}


def _policy(job: DueJob) -> Policy:
    return Policy(
        misfire_grace_time=job.misfire_grace_time, coalesce=bool(job.coalesce), max_instances=job.max_instances,
        overlap=Overlap(job.overlap), queue_limit=job.queue_limit,
        runs_left=None if job.max_runs is None else max(job.max_runs - job.claimed_count, 0),
    )  # fmt: skip


def _plan(job: DueJob, busy: Busy, now: datetime) -> Planned:
    due_at = now
    try:
        due_at = bulk.from_time(job.next_run_time)
        args, kwargs = _arguments(job)
        trigger = definitions.trigger_from(job.trigger, anchor=bulk.from_time(job.anchor), key=job.id)
        return Planned(job, args, kwargs, plan(trigger, due_at, _policy(job), busy=busy, now=now))
    except Exception as error:
        # One damaged row must not stop the others, whatever the damage is.
        if not isinstance(error, CronzimusError):
            logger.exception("job %s can not be planned", job.id, extra={"action": "job_broken", "job": job.id})
        what = "arguments" if isinstance(error, InvalidArguments) else "trigger"
        reason = f"its {what} can not be understood: {error}"
        failed = PlannedRun(scheduled_time=due_at, status=RunStatus.FAILED, reason=reason)
        return Planned(job, [], {}, Plan(runs=(failed,), next_run_time=None), reason)


def _arguments(job: DueJob) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = bulk.from_json(job.args), bulk.from_json(job.kwargs)
    wrong = {}
    if not isinstance(args, list):
        wrong["args"] = "the stored arguments are damaged: they are not an array"
    if not isinstance(kwargs, dict):
        wrong["kwargs"] = "the stored arguments are damaged: they are not an object"
    for name, value in (("args", args), ("kwargs", kwargs)):
        if value and name not in wrong and (problem := definitions.unstorable(value)):
            wrong[name] = problem
    if wrong:
        raise InvalidArguments(fields=wrong)
    return args, kwargs


def _move_on(planned: Sequence[Planned]) -> None:
    source, data = bulk.table(MOVED, [_moved(found) for found in planned])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET next_run_time = v.next_run_time, error = COALESCE(v.error, ''), "  # noqa: S608
            f"claimed_count = claimed_count + v.queued FROM {source} WHERE jobs_job.id = v.id",
            [data],
        )


def _moved(found: Planned) -> dict[str, Any]:
    queued = sum(run.status is RunStatus.QUEUED for run in found.plan.runs)
    moved = {"id": found.job.id, "next_run_time": found.plan.next_run_time, "queued": queued}
    return {**moved, "error": found.error} if found.error else moved


def _count_failed(planned: Sequence[Planned], now: datetime) -> None:
    failed = [found.job.id for found in planned if found.error]
    if failed:
        Job.objects.filter(pk__in=failed).update(
            run_count=F("run_count") + 1, failure_count=F("failure_count") + 1,
            last_status=RunStatus.FAILED, last_run_at=now,
        )  # fmt: skip


def _insert(planned: Sequence[Planned], scheduler_id: str, rooms: dict[str, int], now: datetime) -> list[HeldRun]:
    rows, startable = [], []
    for found in planned:
        executor = executor_of(found.job)
        for run in found.plan.runs:
            waits = False
            if run.status is RunStatus.QUEUED:
                # A run of a group has its turn when the others of the group are looked at together.
                waits = run.waits or bool(found.job.concurrency_group) or rooms.get(executor, 0) <= 0
                if not waits:
                    rooms[executor] -= 1
                    startable.append((found, run, executor))
            rows.append(_row(found, run, executor, waits=waits))
    source, data = bulk.table(INSERTED, rows)
    with connection.cursor() as cursor:
        now_text = bulk.instant(now)
        cursor.execute(
            _insert_sql(connection.vendor, source), [RunTrigger.SCHEDULE, now_text, now_text, scheduler_id, data]
        )
        ids = {(job_id, bulk.from_time(at)): run_id for run_id, job_id, at in cursor.fetchall()}
    return [
        HeldRun(
            id=run_id, job_id=found.job.id, func=found.job.func, args=found.args, kwargs=found.kwargs,
            scheduled_time=run.scheduled_time, attempt=1, executor=executor, timeout=found.job.timeout,
        )
        for found, run, executor in startable
        if (run_id := ids.get((found.job.id, run.scheduled_time))) is not None
    ]  # fmt: skip


def _row(found: Planned, run: PlannedRun, executor: str, *, waits: bool) -> dict[str, Any]:
    row = {"job_id": found.job.id, "scheduled_time": run.scheduled_time, "executor": executor}
    if waits:
        row["waits"] = 1
    if run.fire_times != 1:
        row["fire_times"] = run.fire_times
    if run.status is not RunStatus.QUEUED:
        row |= {"status": run.status, "reason": run.reason, "error": found.error}
    return row


@cache
def _insert_sql(vendor: str, source: str) -> str:
    at = "%s::timestamptz" if vendor == "postgresql" else "%s"
    # What a run is called with comes from its job's row, which is locked; damaged arguments are not copied.
    # ON CONFLICT: the fire time was claimed before its job was removed and made anew; it does not run twice.
    return (
        "INSERT INTO jobs_run (job_id, func, args, kwargs, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "scheduled_time, queued_at, finished_at, scheduler_id, executor, timeout, priority, concurrency_group, error, "
        "traceback, output) "
        "SELECT v.job_id, j.func, CASE v.status WHEN 'failed' THEN '[]' ELSE j.args END, "
        "CASE v.status WHEN 'failed' THEN '{}' ELSE j.kwargs END, "
        "COALESCE(v.status, 'queued'), COALESCE(v.reason, ''), %s, '', 1, COALESCE(v.fire_times, 1), v.scheduled_time, "
        f"{at}, CASE WHEN v.status IS NOT NULL THEN {at} END, CASE WHEN v.waits IS NULL THEN %s END, v.executor, "
        "j.timeout, j.priority, j.concurrency_group, COALESCE(v.error, ''), '', '' "
        f"FROM {source} JOIN jobs_job j ON j.id = v.job_id WHERE true "
        "ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING RETURNING id, job_id, scheduled_time"
    )
