"""Claim fire times and waiting runs: each claim one transaction, with a number of statements that does not grow."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, transaction

from jobs import definitions
from jobs.core.exceptions import CronzimusError, InvalidArguments
from jobs.core.planning import Plan, PlannedRun, Policy, plan
from jobs.core.runs import RunStatus, RunTrigger
from jobs.models import Job, Run

from . import bulk
from .work import HeldRun

logger = logging.getLogger(__name__)

INSERTED = {
    "job_id": "text", "func": "text", "status": "text", "reason": "text", "scheduled_time": "time",
    "finished_at": "time", "fire_times": "number", "executor": "text", "error": "text",
    "args": "json", "kwargs": "json",
}  # fmt: skip
MOVED = {"id": "text", "next_run_time": "time", "error": "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What one claim took: runs to start, the jobs it moved on, and the runs that were born finished."""

    runs: list[HeldRun]
    jobs: int = 0
    unstarted: list[tuple[str, PlannedRun]]


def claim_due(scheduler_id: str, limit: int, now: datetime) -> Claimed:
    """Claim the fire times of up to `limit` jobs that are due at `now`, for the scheduler `scheduler_id`.

    The jobs are moved on and their runs written in the same transaction: a fire time is claimed once, whoever dies.
    A job whose row can not be understood is taken off the schedule, and leaves a failed run that says why.
    """
    with transaction.atomic():
        jobs = _due_jobs(limit, now)
        if not jobs:
            return Claimed(runs=[], unstarted=[])
        active = _active_runs([job.id for job in jobs])
        planned = [(job, *_plan(job, active.get(job.id, ()), now)) for job in jobs]
        _move_on([(job.id, bulk.instant(plan.next_run_time), error) for job, plan, error in planned])
        rows = [(job, run, error) for job, plan, error in planned for run in plan.runs]
        held = _insert(rows, scheduler_id, now)
    unstarted = [(job.id, run) for job, run, _ in rows if run.status is not RunStatus.QUEUED]
    return Claimed(runs=held, jobs=len(jobs), unstarted=unstarted)


def claim_waiting(scheduler_id: str, limit: int) -> list[HeldRun]:
    """Take up to `limit` runs that wait for any scheduler: those that people asked for, and those given back."""
    with connection.cursor() as cursor:
        cursor.execute(_waiting_sql(connection.vendor), [scheduler_id, limit])
        return [_held(row) for row in cursor.fetchall()]


def give_back(scheduler_id: str, run_ids: Sequence[int]) -> None:
    """Let any scheduler have runs that `scheduler_id` holds and did not start."""
    Run.objects.filter(id__in=run_ids, scheduler_id=scheduler_id, status=RunStatus.QUEUED).update(scheduler=None)


def held(scheduler_id: str) -> set[int]:
    """Return the ids of the runs that `scheduler_id` holds and that are not on record as started."""
    held_runs = Run.objects.active().filter(scheduler_id=scheduler_id, status=RunStatus.QUEUED)
    return set(held_runs.values_list("id", flat=True))


def look() -> tuple[datetime | None, bool]:
    """Return when the next job is due (None: none is), and whether a run waits: one statement, two index look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT next_run_time FROM jobs_job WHERE next_run_time IS NOT NULL "
            "ORDER BY next_run_time LIMIT 1), "
            "(SELECT id FROM jobs_run WHERE status = 'queued' AND scheduler_id IS NULL ORDER BY id LIMIT 1)"
        )
        due_at, waiting = cursor.fetchone()
    return None if due_at is None else bulk.from_time(due_at), waiting is not None


def _due_jobs(limit: int, now: datetime) -> list[Job]:
    due = Job.objects.due(now).only(
        "id", "func", "args", "kwargs", "trigger", "anchor", "next_run_time", "executor", *definitions.POLICY_FIELDS
    )
    if connection.features.has_select_for_update_skip_locked:
        # Schedulers do not wait for each other: each takes the jobs that no other is taking.
        due = due.select_for_update(skip_locked=True)
    return list(due[:limit])


def _active_runs(job_ids: Sequence[str]) -> dict[str, list[int]]:
    # The jobs' rows are locked: no other scheduler adds a run of theirs between this count and the insert.
    active: dict[str, list[int]] = defaultdict(list)
    for job_id, run_id in Run.objects.active().filter(job_id__in=job_ids).values_list("job_id", "id").order_by("id"):
        active[job_id].append(run_id)
    return active


def _plan(job: Job, active: Sequence[int], now: datetime) -> tuple[Plan, str]:
    """Return the plan of a due job, and why it can not be planned: "" where it can."""
    assert job.next_run_time is not None  # noqa: S101 (the due query's condition)
    policy = Policy(misfire_grace_time=job.misfire_grace_time, coalesce=job.coalesce, max_instances=job.max_instances)
    try:
        _require_arguments(job)
        return plan(definitions.trigger_of(job), job.next_run_time, policy, active=active, now=now), ""
    except Exception as error:
        # One damaged row must not stop the others, whatever the damage is.
        if not isinstance(error, CronzimusError):
            logger.exception("job %s can not be planned", job.id, extra={"action": "job_broken", "job": job.id})
        what = "arguments" if isinstance(error, InvalidArguments) else "trigger"
        reason = f"its {what} can not be understood: {error}"
        failed = PlannedRun(scheduled_time=job.next_run_time, status=RunStatus.FAILED, reason=reason)
        return Plan(runs=(failed,), next_run_time=None), reason


def _require_arguments(job: Job) -> None:
    wrong = {}
    if not isinstance(job.args, list):
        job.args, wrong["args"] = [], "the stored arguments are damaged: they are not an array"
    if not isinstance(job.kwargs, dict):
        job.kwargs, wrong["kwargs"] = {}, "the stored arguments are damaged: they are not an object"
    if wrong:
        raise InvalidArguments(fields=wrong)


def _move_on(rows: Sequence[tuple[str, str | None, str]]) -> None:
    source, data = bulk.table(MOVED, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE jobs_job SET next_run_time = v.next_run_time, error = v.error FROM {source} "  # noqa: S608
            "WHERE jobs_job.id = v.id",
            [data],
        )


def _insert(rows: Sequence[tuple[Job, PlannedRun, str]], scheduler_id: str, now: datetime) -> list[HeldRun]:
    at = bulk.instant(now)
    source, data = bulk.table(
        INSERTED,
        [
            (
                job.id, job.func, run.status, run.reason, bulk.instant(run.scheduled_time),
                None if run.status is RunStatus.QUEUED else at, run.fire_times, job.executor, error,
                job.args, job.kwargs,
            )
            for job, run, error in rows
        ],
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_insert_sql(connection.vendor, source), [RunTrigger.SCHEDULE, at, scheduler_id, data])
        return [_held(row) for row in cursor.fetchall() if row[-1] == RunStatus.QUEUED]


HELD = "id, job_id, func, args, kwargs, scheduled_time, attempt, executor, status"


@cache
def _insert_sql(vendor: str, source: str) -> str:
    at = "%s::timestamptz" if vendor == "postgresql" else "%s"
    # ON CONFLICT: the fire time was claimed before its job was removed and made anew; it does not run twice.
    return (
        "INSERT INTO jobs_run (job_id, func, args, kwargs, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "scheduled_time, queued_at, finished_at, scheduler_id, executor, error, traceback, output) "
        "SELECT v.job_id, v.func, v.args, v.kwargs, v.status, v.reason, %s, '', 1, v.fire_times, "
        f"v.scheduled_time, {at}, v.finished_at, %s, v.executor, v.error, '', '' FROM {source} WHERE true "
        f"ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING RETURNING {HELD}"
    )


@cache
def _waiting_sql(vendor: str) -> str:
    lock = "FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    return (
        "UPDATE jobs_run SET scheduler_id = %s WHERE id IN (SELECT id FROM jobs_run "  # noqa: S608
        f"WHERE status = 'queued' AND scheduler_id IS NULL ORDER BY id LIMIT %s {lock}) RETURNING {HELD}"
    )


def _held(row: Sequence[Any]) -> HeldRun:
    run_id, job_id, func, args, kwargs, scheduled_time, attempt, executor, _ = row
    return HeldRun(
        id=run_id, job_id=job_id, func=func, args=bulk.from_json(args), kwargs=bulk.from_json(kwargs),
        scheduled_time=bulk.from_time(scheduled_time), attempt=attempt, executor=executor,
    )  # fmt: skip
