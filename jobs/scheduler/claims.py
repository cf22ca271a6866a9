"""Claim fire times: each claim one transaction, with a number of statements that does not grow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import BooleanField, Q
from django.db.models.expressions import RawSQL

from jobs import definitions
from jobs.core.exceptions import CronzimusError, InvalidArguments
from jobs.core.planning import Busy, Plan, PlannedRun, Policy, plan
from jobs.core.runs import Overlap, RunStatus, RunTrigger
from jobs.models import Job, Run
from jobs.policies import executor_of

from . import bulk
from .work import HELD, HeldRun

logger = logging.getLogger(__name__)

INSERTED = {
    "job_id": "text", "func": "text", "args": "json", "kwargs": "json", "status": "text", "reason": "text",
    "fire_times": "number", "scheduled_time": "time", "finished_at": "time", "owner": "text", "executor": "text",
    "timeout": "number", "priority": "number", "concurrency_group": "text", "error": "text",
}  # fmt: skip
MOVED = {"id": "text", "next_run_time": "time", "error": "text", "queued": "number"}
READ = (
    "id", "func", "args", "kwargs", "trigger", "anchor", "next_run_time", "executor", "misfire_grace_time", "coalesce",
    "max_instances", "overlap", "queue_limit", "timeout", "priority", "concurrency_group", "max_runs", "claimed_count",
)  # fmt: skip
IN_PROCESS = Q(executor="process") | Q(timeout__isnull=False)
"""The jobs whose runs need a process of their own."""

PRIORITISED = RawSQL("jobs_job.priority <> 0", (), BooleanField())
"""The jobs that go before others, or after them, where more is due than there is room for."""

Planned = tuple[Any, Plan, str]
"""A due job's row, its plan, and why it can not be planned: "" where it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What one claim took: runs to start, how many jobs it moved on, and the runs that were born finished."""

    runs: list[HeldRun]
    jobs: int
    unstarted: list[tuple[str, PlannedRun]]


def claim_due(scheduler_id: str, rooms: Mapping[str, int], now: datetime) -> Claimed:
    """Claim fire times that are due at `now`, for the scheduler `scheduler_id`.

    `rooms` has, by executor, how many runs it may be given: so many jobs are claimed at the most. They are moved on and
    their runs written in the same transaction: a fire time is claimed once, whoever dies. Runs that have to wait for
    their turn, or for a slot, are written without an owner: any scheduler may have them then. A job whose row can
    not be understood is taken off the schedule, and leaves a failed run that says why.
    """
    with transaction.atomic():
        jobs = _due_jobs(rooms, now)
        if not jobs:
            return Claimed(runs=[], jobs=0, unstarted=[])
        busy = _busy([job.id for job in jobs])
        planned = [_plan(job, busy.get(job.id, Busy()), now) for job in jobs]
        _move_on(planned)
        held = _insert(planned, scheduler_id, dict(rooms), now)
    replaced = [run_id for _, found, _ in planned for run_id in found.replaced]
    if replaced:
        # Not under the locks of the jobs: whoever writes the end of such a run locks it first, and its job then.
        Run.objects.filter(id__in=replaced).cancel("replaced by a newer run of its job", now)
    unstarted = [(job.id, run) for job, found, _ in planned for run in found.runs if run.status is not RunStatus.QUEUED]
    return Claimed(runs=held, jobs=len(jobs), unstarted=unstarted)


def _due_jobs(rooms: Mapping[str, int], now: datetime) -> list[Any]:
    due = Job.objects.due(now)
    if not rooms.get("process"):
        due = due.exclude(IN_PROCESS)
    if not rooms.get("thread"):
        due = due.filter(IN_PROCESS)
    if due.filter(PRIORITISED).exists():
        # Only then: to sort, all that is due has to be read, and not just what there is room for.
        due = due.order_by("-priority", "next_run_time")
    if connection.features.has_select_for_update_skip_locked:
        # Schedulers do not wait for each other: each takes the jobs that no other is taking.
        due = due.select_for_update(skip_locked=True)
    return list(due.values_list(*READ, named=True)[: sum(rooms.values())])


def _busy(job_ids: Sequence[str]) -> dict[str, Busy]:
    # The jobs' rows are locked: no other scheduler adds a run of theirs between this look and the insert.
    held: dict[str, list[int]] = defaultdict(list)
    waiting: dict[str, list[int]] = defaultdict(list)
    active = Run.objects.active().filter(job_id__in=job_ids).order_by("id")
    for job_id, run_id, owner in active.values_list("job_id", "id", "scheduler_id"):
        (held if owner else waiting)[job_id].append(run_id)
    return {job_id: Busy(held=held[job_id], waiting=waiting[job_id]) for job_id in {*held, *waiting}}


def _policy(job: Any) -> Policy:
    return Policy(
        misfire_grace_time=job.misfire_grace_time, coalesce=job.coalesce, max_instances=job.max_instances,
        overlap=Overlap(job.overlap), queue_limit=job.queue_limit,
        runs_left=None if job.max_runs is None else max(job.max_runs - job.claimed_count, 0),
    )  # fmt: skip


def _plan(job: Any, busy: Busy, now: datetime) -> Planned:
    try:
        _require_arguments(job)
        return job, plan(definitions.trigger_of(job), job.next_run_time, _policy(job), busy=busy, now=now), ""
    except Exception as error:
        # One damaged row must not stop the others, whatever the damage is.
        if not isinstance(error, CronzimusError):
            logger.exception("job %s can not be planned", job.id, extra={"action": "job_broken", "job": job.id})
        what = "arguments" if isinstance(error, InvalidArguments) else "trigger"
        reason = f"its {what} can not be understood: {error}"
        failed = PlannedRun(scheduled_time=job.next_run_time, status=RunStatus.FAILED, reason=reason)
        return job, Plan(runs=(failed,), next_run_time=None), reason


def _require_arguments(job: Any) -> None:
    wrong = {}
    if not isinstance(job.args, list):
        wrong["args"] = "the stored arguments are damaged: they are not an array"
    if not isinstance(job.kwargs, dict):
        wrong["kwargs"] = "the stored arguments are damaged: they are not an object"
    for name in ("args", "kwargs"):
        if name not in wrong and (problem := definitions.unstorable(getattr(job, name))):
            wrong[name] = problem
    if wrong:
        raise InvalidArguments(fields=wrong)


def _move_on(planned: Sequence[Planned]) -> None:
    source, data = bulk.table(
        MOVED,
        [
            (
                job.id,
                found.next_run_time,
                error,
                sum(run.status is RunStatus.QUEUED for run in found.runs),
            )
            for job, found, error in planned
        ],
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET next_run_time = v.next_run_time, error = v.error, "  # noqa: S608
            f"claimed_count = claimed_count + v.queued FROM {source} WHERE jobs_job.id = v.id",
            [data],
        )


def _insert(planned: Sequence[Planned], scheduler_id: str, rooms: dict[str, int], now: datetime) -> list[HeldRun]:
    rows = []
    for job, found, error in planned:
        executor = executor_of(job)
        for run in found.runs:
            owner: str | None = scheduler_id
            if run.status is RunStatus.QUEUED:
                # A run of a group has its turn when the others of the group are looked at together.
                startable = not run.waits and not job.concurrency_group and rooms.get(executor, 0) > 0
                rooms[executor] = rooms.get(executor, 0) - startable
                owner = scheduler_id if startable else None
            rows.append(_row(job, run, error, owner, executor, now))
    source, data = bulk.table(INSERTED, rows)
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(connection.vendor, source), [RunTrigger.SCHEDULE, bulk.instant(now), data])
        return [HeldRun.of(row[:-2]) for row in cursor.fetchall() if row[-2] == RunStatus.QUEUED and row[-1]]


def _row(job: Any, run: PlannedRun, error: str, owner: str | None, executor: str, now: datetime) -> tuple[Any, ...]:
    finished_at = None if run.status is RunStatus.QUEUED else now
    args, kwargs = (job.args, job.kwargs) if run.status is not RunStatus.FAILED else ([], {})
    return (
        job.id, job.func, args, kwargs, run.status, run.reason, run.fire_times, run.scheduled_time,
        finished_at, owner, executor, job.timeout, job.priority, job.concurrency_group, error,
    )  # fmt: skip


@cache
def _insert_sql(vendor: str, source: str) -> str:
    at = "%s::timestamptz" if vendor == "postgresql" else "%s"
    # ON CONFLICT: the fire time was claimed before its job was removed and made anew; it does not run twice.
    return (
        "INSERT INTO jobs_run (job_id, func, args, kwargs, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "scheduled_time, queued_at, finished_at, scheduler_id, executor, timeout, priority, concurrency_group, error, "
        "traceback, output) "
        "SELECT v.job_id, v.func, v.args, v.kwargs, v.status, v.reason, %s, '', 1, v.fire_times, v.scheduled_time, "
        f"{at}, v.finished_at, v.owner, v.executor, v.timeout, v.priority, v.concurrency_group, v.error, '', '' "
        f"FROM {source} WHERE true "
        f"ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING RETURNING {HELD}, status, scheduler_id"
    )
