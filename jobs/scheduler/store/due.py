"""The due jobs: they are locked, and each is planned."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.db import connection

from ...core.capacity import Capacity
from ...core.exceptions import CronzimusError, InvalidArguments
from ...core.json import unstorable
from ...core.planning import IDLE, Busy, Plan, PlannedRun, Policy, plan
from ...core.runs import Executor, Overlap, RunStatus, is_remote
from ...definitions.triggers import trigger_from
from . import bulk
from .held import ACTIVE_SQL, lane_sql

logger = logging.getLogger("cronzimus.scheduler.store.due")

LANE_SQL = lane_sql("cronzimus_job")
"""The lane of a job."""
LOCAL_SQL = f"NOT (executor = '{Executor.CELERY}')"
"""The condition for jobs of this machine's executors."""
EXECUTOR_SQL = f"CASE WHEN timeout IS NOT NULL THEN '{Executor.PROCESS}' ELSE executor END"
"""The executor of such a job's runs, the rule of `definitions.policies.executor_of` in SQL."""
LOCAL = {Executor.THREAD, Executor.PROCESS}
REPLACING_SQL = (
    "(overlap = 'replace' AND EXISTS (SELECT 1 FROM cronzimus_run a WHERE a.job_id = cronzimus_job.id "  # noqa: S608
    f"AND a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL))"
)
"""The condition for jobs that have a held run which a newer one replaces."""
MAX_REPLACING = 100
"""Jobs without capacity that are claimed at once, at most, to replace their runs."""


class Rank(NamedTuple):
    """A part of the due jobs, and the order in which they are claimed."""

    condition: str
    order: str


ALL = Rank("", "next_run_time")
"""All due jobs, in the order in which they fell due."""
RANKS = (
    Rank("AND NOT (priority = 0) AND priority > 0", "priority DESC, next_run_time"),
    # Not `priority = 0` alone, which PostgreSQL takes for rare without statistics, and sorts all due jobs.
    Rank("AND COALESCE(priority = 0, false)", "next_run_time"),
    Rank("AND NOT (priority = 0) AND priority < 0", "priority DESC, next_run_time"),
)
"""The due jobs by priority. Few jobs have one (index `job_prioritised`), and all others come in the order of their
index (`job_due`). If they were sorted together, every claim would read all due jobs."""


class DueJob(NamedTuple):
    """The row of a due job from raw SQL: JSON as text, and on SQLite instants as text too."""

    id: str
    func: str
    args: str
    kwargs: str
    trigger: str
    anchor: Any
    next_run_time: Any
    lane: str
    misfire_grace_time: int | None
    coalesce: bool
    max_instances: int
    overlap: str
    queue_limit: int
    timeout: int | None
    concurrency_group: str
    max_runs: int | None
    claimed_count: int


def lane_of_due(job: DueJob) -> str:
    """Return the lane of the job's runs. A job with a timeout needs a process, or a worker; see `EXECUTOR_SQL`."""
    return job.lane if job.timeout is None or is_remote(job.lane) else Executor.PROCESS


class Planned(NamedTuple):
    """A due job, its arguments and its plan. `error` has the reason if its row is invalid, else ""."""

    job: DueJob
    args: list[Any]
    kwargs: dict[str, Any]
    plan: Plan
    error: str = ""


def plan_due_jobs(capacity: Mapping[str, int], now: datetime, *, by_priority: bool) -> list[Planned]:
    """Lock the jobs that are due at `now` and fit into `capacity`, and plan each of them; see `claims.claim_due`.

    Their rows stay locked until the transaction ends. Without any capacity there are none.
    """
    lanes = sorted(lane for lane, free in capacity.items() if free)
    if not lanes:
        return []
    local, remote = tuple(lane for lane in lanes if not is_remote(lane)), [lane for lane in lanes if is_remote(lane)]
    fitting = _fitting_sql(local, len(remote))
    jobs = _due_jobs(fitting, remote, max(capacity.values()), now, by_priority=by_priority)
    return _planned(_within_capacity(jobs, capacity), now)


def plan_replacing_jobs(now: datetime, *, by_priority: bool) -> list[Planned]:
    """Lock up to `MAX_REPLACING` jobs that are due at `now` and replace a held run of theirs, and plan each of them."""
    return _planned(_due_jobs(REPLACING_SQL, (), MAX_REPLACING, now, by_priority=by_priority), now)


def _planned(jobs: Sequence[DueJob], now: datetime) -> list[Planned]:
    if not jobs:
        return []
    busy = _busy([job.id for job in jobs], now)
    return [_plan(job, busy.get(job.id, IDLE), now) for job in jobs]


def _due_jobs(condition: str, params: Sequence[str], limit: int, now: datetime, *, by_priority: bool) -> list[DueJob]:
    """Lock and return up to `limit` due jobs for which `condition` holds, a piece of SQL with its `params`."""
    jobs: list[DueJob] = []
    with connection.cursor() as cursor:
        for rank in RANKS if by_priority else (ALL,):
            if len(jobs) < limit:
                sql = _due_sql(connection.vendor, rank, condition)
                cursor.execute(sql, [bulk.instant(now), *params, limit - len(jobs)])
                jobs += [DueJob._make(row) for row in cursor.fetchall()]
    return jobs


def _within_capacity(jobs: Sequence[DueJob], capacity: Mapping[str, int]) -> list[DueJob]:
    """Return the jobs that fit into the executors; the others stay due, for a scheduler that has capacity."""
    left, kept = Capacity(capacity), []
    for job in jobs:
        lane = lane_of_due(job)
        if left.get(lane, 1) > 0:
            kept.append(job)
            left.take(lane)
    return kept


@cache
def _due_sql(vendor: str, rank: Rank, condition: str) -> str:
    # As text on SQLite, so that a damaged instant fails its own job, and not the whole statement.
    read = {"lane": f"{LANE_SQL} AS lane"}
    if vendor == "sqlite":
        read |= {name: bulk.as_text(name) for name in ("anchor", "next_run_time")}
    columns = ", ".join(read.get(name, f'"{name}"') for name in DueJob._fields)
    # Schedulers do not wait for each other: each takes jobs that no other is taking.
    lock = "FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    return (
        f"SELECT {columns} FROM cronzimus_job WHERE next_run_time <= %s AND {condition} {rank.condition} "  # noqa: S608
        f"ORDER BY {rank.order} LIMIT %s {lock}"
    )


@cache
def _fitting_sql(local: tuple[str, ...], queues: int) -> str:
    """Return the condition for jobs of these executors of this machine, and of so many queues, whose lanes it gets.

    PostgreSQL takes a comparison of an expression for rare, and would sort all due jobs. It expects COALESCE to be true
    for half of them.
    """
    if set(local) == LOCAL and not queues:
        return LOCAL_SQL
    conditions = []
    if local:
        names = ", ".join(f"'{name}'" for name in local)
        conditions.append(f"{LOCAL_SQL} AND {EXECUTOR_SQL} IN ({names})")
    if queues:
        conditions.append(f"{LANE_SQL} IN ({', '.join(['%s'] * queues)})")
    return f"COALESCE({' OR '.join(conditions)}, false)"


def _busy(job_ids: Sequence[str], now: datetime) -> dict[str, Busy]:
    # The rows of the jobs are locked: no other scheduler inserts runs of theirs between this query and our insert.
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"held": [], "waiting": [], "later": []})
    source, data = bulk.rows_as_table({"id": "text"}, [{"id": job_id} for job_id in job_ids])
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.job_id, r.id, r.scheduler_id, r.available_at > %s FROM {source} "  # noqa: S608
            f"JOIN cronzimus_run r ON r.job_id = v.id AND r.status IN ({ACTIVE_SQL}) ORDER BY r.id",
            [bulk.instant(now), data],
        )
        for job_id, run_id, holder, is_later in cursor.fetchall():
            found[job_id]["held" if holder else "later" if is_later else "waiting"].append(run_id)
    return {job_id: Busy(**runs) for job_id, runs in found.items()}


def _policy_of(job: DueJob) -> Policy:
    runs_left = None if job.max_runs is None else max(job.max_runs - job.claimed_count, 0)
    return _policy(
        job.misfire_grace_time, bool(job.coalesce), job.max_instances, job.overlap, job.queue_limit, runs_left
    )


@lru_cache(maxsize=1024)
def _policy(
    grace: int | None, coalesce: bool, max_instances: int, overlap: str, queue_limit: int, runs_left: int | None
) -> Policy:
    return Policy(
        misfire_grace_time=grace, coalesce=coalesce, max_instances=max_instances, overlap=Overlap(overlap),
        queue_limit=queue_limit, runs_left=runs_left,
    )  # fmt: skip


def _plan(job: DueJob, busy: Busy, now: datetime) -> Planned:
    due_at = now
    try:
        due_at = bulk.from_time(job.next_run_time)
        args, kwargs = _arguments(job)
        trigger = trigger_from(job.trigger, anchor=bulk.from_time(job.anchor), key=job.id)
        return Planned(job, args, kwargs, plan(trigger, due_at, _policy_of(job), busy=busy, now=now))
    except Exception as error:
        # One damaged row must not stop the others.
        if not isinstance(error, CronzimusError):
            logger.exception("job %s cannot be planned", job.id, extra={"action": "job_broken", "job": job.id})
        reason = f"its {_invalid_part(error)} invalid: {error}"
        failed = PlannedRun(scheduled_time=due_at, status=RunStatus.FAILED, reason=reason)
        return Planned(job, [], {}, Plan(runs=(failed,), next_run_time=None), reason)


def _invalid_part(error: Exception) -> str:
    if isinstance(error, InvalidArguments):
        return "arguments are"
    return "trigger is" if isinstance(error, CronzimusError) else "row is"


def _arguments(job: DueJob) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = bulk.from_json(job.args), bulk.from_json(job.kwargs)
    wrong = {}
    if not isinstance(args, list):
        wrong["args"] = "the stored arguments are damaged: they are not an array"
    if not isinstance(kwargs, dict):
        wrong["kwargs"] = "the stored arguments are damaged: they are not an object"
    for name, value in (("args", args), ("kwargs", kwargs)):
        if value and name not in wrong and (problem := unstorable(value)):
            wrong[name] = problem
    if wrong:
        raise InvalidArguments(fields=wrong)
    return args, kwargs
