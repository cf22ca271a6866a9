"""Claim fire times: each claim is one transaction of a fixed number of statements, for any number of jobs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import F

from ...core.capacity import Capacity
from ...core.dispatches import new_dispatch_id
from ...core.held import HeldRun
from ...core.planning import PlannedRun
from ...core.runs import DISPATCHED, Executor, RunStatus, RunTrigger, is_remote, queue_of_lane
from ...definitions.triggers import trigger_from
from ...models import Job, Run
from . import bulk
from .due import Planned, lane_of_due, plan_due_jobs, plan_replacing_jobs

# The columns of the tables that the statements below get as one parameter each.
INSERTED = {
    "job_id": "text", "status": "text", "reason": "text", "fire_times": "number", "scheduled_time": "time",
    "executor": "text", "waits": "number", "error": "text",
}  # fmt: skip
REMOTE_COLUMNS = {"queue": "text", "dispatch_id": "text"}
"""Further columns of the first table, if some of its runs go to workers."""
MOVED = {"id": "text", "next_run_time": "time", "error": "text", "queued": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The result of a claim: the runs to start, the number of jobs moved on, and the runs that were born finished.

    The latter (missed, skipped, or failed because the job is damaged) come with the ids of their jobs.
    """

    runs: list[HeldRun] = field(default_factory=list)
    jobs: int = 0
    born_finished: Sequence[tuple[str, PlannedRun]] = ()


def claim_due(holder: str, capacity: Mapping[str, int], now: datetime, *, by_priority: bool = True) -> Claimed:
    """Claim fire times that are due at `now` for the scheduler `holder`.

    `capacity` is the number of runs that each lane (an executor, or a queue of workers) may be given; at most as many
    jobs as the largest of them are claimed. Without `by_priority`, they are claimed in the order in which they fell
    due.

    The jobs are moved on and their runs written in one transaction, so that a fire time is claimed once even if a
    process dies. Runs that have to wait, for their turn or for an executor, are written without a holder, for any
    scheduler to take. Runs for workers belong to no scheduler either; see `dispatch`. A job whose row is damaged is
    taken off its schedule, and gets a failed run with the reason.
    """
    with transaction.atomic(savepoint=False):
        planned = plan_due_jobs(capacity, now, by_priority=by_priority)
        return _claim(planned, holder, Capacity(capacity), now)


def claim_replacing(holder: str, now: datetime, *, by_priority: bool = True) -> Claimed:
    """Claim the fire times of due jobs that replace a held run of theirs, although no lane has capacity.

    That run may take the capacity up. The new ones wait without a holder, as those of `claim_due` that have to wait.
    """
    with transaction.atomic(savepoint=False):
        return _claim(plan_replacing_jobs(now, by_priority=by_priority), holder, Capacity({}), now)


def _claim(found: Sequence[Planned], holder: str, capacity: Capacity, now: datetime) -> Claimed:
    planned = _replace(found, now)
    if not planned:
        return Claimed()
    held, planned = _insert(planned, holder, capacity, now)
    _move_on(planned)
    _count_failed(planned, now)
    born_finished = [
        (found.job.id, run) for found in planned for run in found.plan.runs if run.status is not RunStatus.QUEUED
    ]
    return Claimed(runs=held, jobs=len(planned), born_finished=born_finished)


def _replace(planned: Sequence[Planned], now: datetime) -> Sequence[Planned]:
    """Cancel the runs that newer ones replace, and return the jobs for which that was possible.

    A job stays due while somebody else is writing the run that would be replaced.
    """
    replaced = _replaced(planned)
    if not replaced:
        return planned
    locked = _locked(replaced)
    planned = [found for found in planned if locked.issuperset(found.plan.replaced)]
    Run.objects.filter(id__in=_replaced(planned)).cancel("replaced by a newer run of its job", now)
    return planned


def _replaced(planned: Sequence[Planned]) -> list[int]:
    return [run_id for found in planned for run_id in found.plan.replaced]


def _locked(run_ids: Sequence[int]) -> set[int]:
    """Lock the runs that nobody else is writing, and return their ids. SQLite's transaction is the lock."""
    if not connection.features.has_select_for_update_skip_locked:
        return set(run_ids)
    # No wait for locks: an outcome is written under a lock on the run and then on its job, which is locked here.
    runs = Run.objects.filter(id__in=run_ids).select_for_update(skip_locked=True)
    return set(runs.values_list("id", flat=True))


def _move_on(planned: Sequence[Planned]) -> None:
    source, data = bulk.rows_as_table(MOVED, [_moved(found) for found in planned])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE cronzimus_job SET next_run_time = v.next_run_time, error = COALESCE(v.error, ''), "  # noqa: S608
            f"claimed_count = claimed_count + v.queued FROM {source} WHERE cronzimus_job.id = v.id",
            [data],
        )


def _moved(found: Planned) -> dict[str, Any]:
    queued = sum(run.status is RunStatus.QUEUED for run in found.plan.runs)
    moved = {"id": found.job.id, "next_run_time": found.plan.next_run_time, "queued": queued}
    return {**moved, "error": found.error} if found.error else moved


def _count_failed(planned: Sequence[Planned], now: datetime) -> None:
    failed = [found.job.id for found in planned if found.error and found.plan.runs]
    if failed:
        Job.objects.filter(pk__in=failed).update(
            run_count=F("run_count") + 1, failure_count=F("failure_count") + 1,
            last_status=RunStatus.FAILED, last_run_at=now,
        )  # fmt: skip


def _insert(
    planned: Sequence[Planned], holder: str, left: Capacity, now: datetime
) -> tuple[list[HeldRun], Sequence[Planned]]:
    """Insert the planned runs; return the runs that may start now, and the plans without runs that existed already.

    `left` is the remaining capacity of each lane.
    """
    rows, startable = [], []
    has_remote = False
    for found in planned:
        lane = lane_of_due(found.job)
        has_remote |= is_remote(lane)
        for run in found.plan.runs:
            waits = False
            if run.status is RunStatus.QUEUED:
                # Runs of a group wait: only the admission counts the active runs of groups.
                waits = run.waits or bool(found.job.concurrency_group) or left.get(lane, 0) <= 0
            rows.append(_row(found, run, lane, now, waits=waits))
            if run.status is RunStatus.QUEUED and not waits:
                left.take(lane)
                startable.append((found, run, rows[-1]))
    source, data = bulk.rows_as_table(INSERTED | REMOTE_COLUMNS if has_remote else INSERTED, rows)
    with connection.cursor() as cursor:
        at = bulk.instant(now)
        sql = _insert_sql(connection.vendor, source, has_remote)
        cursor.execute(sql, [RunTrigger.SCHEDULE, at, at, holder, data])
        ids = {(job_id, bulk.from_time(at)): run_id for run_id, job_id, at in cursor.fetchall()}
    held = [
        HeldRun(
            id=run_id, job_id=found.job.id, func=found.job.func, args=found.args, kwargs=found.kwargs,
            scheduled_time=run.scheduled_time, attempt=1, executor=row["executor"], timeout=found.job.timeout,
            scheduler_id=holder, queue=row.get("queue", ""), dispatch_id=row.get("dispatch_id", ""),
        )
        for found, run, row in startable
        if (run_id := ids.get((found.job.id, run.scheduled_time))) is not None
    ]  # fmt: skip
    if len(ids) == len(rows):
        return held, planned
    return held, [_without_duplicates(found, ids.keys()) for found in planned]


def _without_duplicates(found: Planned, inserted: Container[tuple[str, datetime]]) -> Planned:
    """Return a plan without the runs that were not inserted, which do not count for `max_runs`."""
    runs = tuple(run for run in found.plan.runs if (found.job.id, run.scheduled_time) in inserted)
    if len(runs) == len(found.plan.runs):
        return found
    next_run_time = found.plan.next_run_time
    if next_run_time is None and not found.error:
        # If `max_runs` ended the schedule with a run that was not inserted, it goes on after the last one.
        last = max(run.scheduled_time for run in found.plan.runs)
        trigger = trigger_from(found.job.trigger, anchor=bulk.from_time(found.job.anchor), key=found.job.id)
        next_run_time = trigger.next_after(last)
    return found._replace(plan=found.plan._replace(runs=runs, next_run_time=next_run_time))


def _row(found: Planned, run: PlannedRun, lane: str, now: datetime, *, waits: bool) -> dict[str, Any]:
    row = {"job_id": found.job.id, "scheduled_time": run.scheduled_time, "executor": lane}
    if waits:
        row["waits"] = 1
    if run.fire_times != 1:
        row["fire_times"] = run.fire_times
    if run.status is not RunStatus.QUEUED:
        row |= {"status": run.status, "reason": run.reason, "error": found.error}
    if is_remote(lane):
        row |= {"executor": Executor.CELERY, "queue": queue_of_lane(lane)}
        if run.status is RunStatus.QUEUED and not waits:
            row["dispatch_id"] = new_dispatch_id(now)
    return row


@cache
def _insert_sql(vendor: str, source: str, has_remote: bool) -> str:
    holder = "%s"
    columns = values = ""
    if has_remote:
        columns = ", queue, dispatch_id, dispatches"
        values = ", v.queue, v.dispatch_id, CASE WHEN v.dispatch_id IS NOT NULL THEN 1 END"
        holder = f"CASE WHEN v.dispatch_id IS NULL THEN %s ELSE '{DISPATCHED}' END"
    at = bulk.INSTANT_SQL[vendor]
    # As text on SQLite: `from_time` reads it in a quarter of the time that the converter of instants takes.
    fire_time = bulk.as_text("scheduled_time") if vendor == "sqlite" else "scheduled_time"
    # Function and arguments are copied from the job's row, which is locked; damaged arguments are not copied.
    # ON CONFLICT: the fire time was claimed before its job was removed and added again. It does not run twice.
    return (
        "INSERT INTO cronzimus_run (job_id, func, args, kwargs, status, reason, trigger, actor, attempt, fire_times, "  # noqa: S608
        "scheduled_time, queued_at, finished_at, scheduler_id, executor, version, timeout, priority, "
        f"concurrency_group, error, traceback, output{columns}) "
        "SELECT v.job_id, j.func, CASE v.status WHEN 'failed' THEN '[]' ELSE j.args END, "
        "CASE v.status WHEN 'failed' THEN '{}' ELSE j.kwargs END, "
        "COALESCE(v.status, 'queued'), COALESCE(v.reason, ''), %s, '', 1, COALESCE(v.fire_times, 1), v.scheduled_time, "
        f"{at}, CASE WHEN v.status IS NOT NULL THEN {at} END, CASE WHEN v.waits IS NULL THEN {holder} END, "
        f"v.executor, j.version, j.timeout, j.priority, j.concurrency_group, COALESCE(v.error, ''), '', ''{values} "
        f"FROM {source} JOIN cronzimus_job j ON j.id = v.job_id WHERE true "
        f"ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING RETURNING id, job_id, {fire_time}"
    )
