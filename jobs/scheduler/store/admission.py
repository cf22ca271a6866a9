"""Take waiting runs: requested by people, retried, given back, or queued behind others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count, Q

from ...core.capacity import Capacity
from ...core.held import HeldRun
from ...core.runs import Executor, RunStatus, is_remote
from ...models import Job, Run
from . import bulk
from .dispatch import take_for_workers
from .held import ACTIVE_SQL, HELD_COLUMNS, held_run, lane_sql

LANE_SQL = lane_sql("r")
"""The lane of a run."""


class Candidate(NamedTuple):
    """A waiting run, its lane and its limits, which are None if its job was removed."""

    id: int
    job_id: str
    lane: str
    group: str
    max_instances: int | None
    group_limit: int | None


def admit(holder: str, capacity: Mapping[str, int], now: datetime) -> list[HeldRun]:
    """Take waiting runs that may start at `now`, up to the `capacity` of each lane.

    Over all schedulers, no job gets more than `max_instances` active runs, and no group more than its limit: the
    jobs and the groups are locked while their runs are counted.
    """
    with transaction.atomic(savepoint=False):
        waiting = _candidates(capacity, now)
        if not waiting:
            return []
        waiting = _lockable(waiting)
        chosen = choose(waiting, capacity, by_job=_held_by_job(waiting), by_group=_held_by_group(waiting))
        lanes = {run.id: run.lane for run in waiting}
        remote = [run_id for run_id in chosen if is_remote(lanes[run_id])]
        local = [run_id for run_id in chosen if run_id not in set(remote)] if remote else chosen
        return _take(holder, local) + take_for_workers(remote, now)


def choose(
    waiting: Sequence[Candidate], capacity: Mapping[str, int], *, by_job: Mapping[str, int], by_group: Mapping[str, int]
) -> list[int]:
    """Return the ids of the `waiting` runs, in order, that may start beside the active ones.

    `by_job` and `by_group` count the active runs of jobs and of groups.
    """
    left, jobs, groups = Capacity(capacity), Counter(by_job), Counter(by_group)
    chosen = []
    for run in waiting:
        job_is_full = run.max_instances is not None and jobs[run.job_id] >= run.max_instances
        group_is_full = bool(run.group) and run.group_limit is not None and groups[run.group] >= run.group_limit
        if job_is_full or group_is_full or left.get(run.lane, 0) <= 0:
            continue
        chosen.append(run.id)
        left.take(run.lane)
        jobs[run.job_id] += 1
        groups[run.group] += bool(run.group)
    return chosen


def awaited_runs(holder: str) -> set[int]:
    """Return the ids of the runs of `holder` for whose end runs of their job or group may wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.id FROM cronzimus_run a WHERE a.scheduler_id = %s AND a.status IN ({ACTIVE_SQL}) "  # noqa: S608
            "AND (NOT (a.concurrency_group = '') OR EXISTS (SELECT 1 FROM cronzimus_run w WHERE w.job_id = a.job_id "
            f"AND w.status IN ({ACTIVE_SQL}) AND w.scheduler_id IS NULL))",
            [holder],
        )
        return {run_id for (run_id,) in cursor.fetchall()}


def give_back(holder: str, run_ids: Sequence[int], now: datetime) -> None:
    """Let any scheduler take runs that `holder` holds and did not start; end those with a request to cancel.

    Runs that somebody else has locked are left as they are. They are found with a later heartbeat.
    """
    if not run_ids:  # as with nearly every heartbeat: on SQLite a transaction takes the only lock
        return
    held = Run.objects.filter(scheduler_id=holder, status=RunStatus.QUEUED)
    with transaction.atomic():
        runs = held.filter(id__in=run_ids)
        if connection.features.has_select_for_update_skip_locked:
            runs = held.filter(id__in=list(runs.select_for_update(skip_locked=True).values_list("id", flat=True)))
        # In this order: a run that is cancelled in between is waiting by then, so that its cancellation ends it.
        runs.filter(cancel_requested_at__isnull=True).update(scheduler=None)
        runs.filter(cancel_requested_at__isnull=False).update(status=RunStatus.CANCELLED, finished_at=now)


def held_runs(holder: str) -> dict[int, str]:
    """Return the statuses of the active runs that `holder` holds, by id. Runs on workers are not among them."""
    held = Run.objects.active().filter(~Q(executor=Executor.CELERY) | Q(status=RunStatus.QUEUED))
    return dict(held.filter(scheduler_id=holder).values_list("id", "status"))


def _candidates(capacity: Mapping[str, int], now: datetime) -> list[Candidate]:
    lanes = [lane for lane, free in capacity.items() if free > 0]
    has_remote = any(is_remote(lane) for lane in lanes)
    lane = LANE_SQL if has_remote else "r.executor"
    in_lanes = f"{lane} IN ({', '.join(['%s'] * len(lanes))})"
    if has_remote:
        # PostgreSQL takes a comparison of an expression for rare, and would sort all waiting runs.
        in_lanes = f"COALESCE({in_lanes}, false)"
    lock = "FOR UPDATE OF r SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.id, r.job_id, {lane}, r.concurrency_group, j.max_instances, j.concurrency_limit "  # noqa: S608
            "FROM cronzimus_run r LEFT JOIN cronzimus_job j ON j.id = r.job_id "
            f"WHERE r.status = 'queued' AND r.scheduler_id IS NULL AND {in_lanes} "
            "AND (r.available_at IS NULL OR r.available_at <= %s) "
            # Full jobs are found once, among the few held runs: thousands of runs may wait for one of them.
            "AND r.job_id NOT IN (SELECT f.id FROM cronzimus_run a JOIN cronzimus_job f ON f.id = a.job_id "
            f"WHERE a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL "
            "GROUP BY f.id HAVING count(*) >= f.max_instances) "
            # A full group at the front of the queue must not hide the runs behind it.
            "AND (r.concurrency_group = '' OR j.id IS NULL OR j.concurrency_limit > "
            f"(SELECT count(*) FROM cronzimus_run a WHERE a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL "
            "AND NOT (a.concurrency_group = '') AND a.concurrency_group = r.concurrency_group)) "
            f"ORDER BY r.priority DESC, r.id LIMIT %s {lock}",
            [*lanes, bulk.instant(now), 2 * sum(capacity.values())],
        )
        return [Candidate(*row) for row in cursor.fetchall()]


def _lockable(waiting: Sequence[Candidate]) -> list[Candidate]:
    """Lock the jobs and the groups of `waiting`, and return the runs for which both could be locked.

    Another scheduler is counting the runs of the rest. On SQLite the transaction itself is the lock.
    """
    if connection.vendor != "postgresql":
        return list(waiting)
    jobs = {run.job_id for run in waiting if run.max_instances is not None}
    locked = set(Job.objects.select_for_update(skip_locked=True).filter(id__in=jobs).values_list("id", flat=True))
    groups = sorted({run.group for run in waiting if run.group})
    locked_groups = {""}
    if groups:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM unnest(%s::text[]) AS name "
                "WHERE pg_try_advisory_xact_lock(hashtext('cronzimus ' || name))",
                [groups],
            )
            locked_groups |= {name for (name,) in cursor.fetchall()}
    return [
        run for run in waiting if (run.max_instances is None or run.job_id in locked) and run.group in locked_groups
    ]


def _held_by_job(waiting: Sequence[Candidate]) -> dict[str, int]:
    held = Run.objects.active().filter(scheduler__isnull=False, job_id__in={run.job_id for run in waiting})
    return dict(held.values_list("job_id").annotate(held=Count("id")).order_by())


def _held_by_group(waiting: Sequence[Candidate]) -> dict[str, int]:
    groups = {run.group for run in waiting if run.group}
    if not groups:
        return {}
    held = Run.objects.active().filter(scheduler__isnull=False, concurrency_group__in=groups)
    return dict(held.values_list("concurrency_group").annotate(held=Count("id")).order_by())


def _take(holder: str, run_ids: Sequence[int]) -> list[HeldRun]:
    if not run_ids:
        return []
    source, data = bulk.rows_as_table({"id": "number"}, [{"id": run_id} for run_id in run_ids])
    columns = bulk.qualified("cronzimus_run", HELD_COLUMNS)
    order = {run_id: place for place, run_id in enumerate(run_ids)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cronzimus_run SET scheduler_id = %s FROM {source} WHERE cronzimus_run.id = v.id "  # noqa: S608
            f"AND cronzimus_run.status = 'queued' AND scheduler_id IS NULL RETURNING {columns}",
            [holder, data],
        )
        return sorted((held_run(row, holder) for row in cursor.fetchall()), key=lambda run: order[run.id])
