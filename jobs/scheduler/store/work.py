"""Read the work of a scheduler: whether there is any, and the due jobs, each with its plan."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from ...core.capacity import Capacity
from ...core.exceptions import CronzimusError, InvalidArguments
from ...core.json import unstorable
from ...core.planning import IDLE, Busy, Plan, PlannedRun, Policy, plan
from ...core.runs import REMOTE, Executor, Overlap, RunStatus
from ...definitions.policies import executor_of
from ...definitions.triggers import trigger_from
from ...models import Job, Run
from . import bulk
from .held import ACTIVE_SQL

logger = logging.getLogger("cronzimus.scheduler.store.work")

LANE_SQL = f"CASE WHEN executor = '{Executor.CELERY}' THEN '{REMOTE}' || queue ELSE executor END"
"""The lane of a job, the rule of `lane_of` in SQL."""
LOCAL_SQL = f"NOT (executor = '{Executor.CELERY}')"
"""The condition for jobs of this machine's executors."""
EXECUTOR_SQL = f"CASE WHEN timeout IS NOT NULL THEN '{Executor.PROCESS}' ELSE executor END"
"""The executor of such a job's runs, the rule of `executor_of` in SQL."""
LOCAL = {Executor.THREAD, Executor.PROCESS}
REPLACING_SQL = (
    "(overlap = 'replace' AND EXISTS (SELECT 1 FROM cronzimus_run a WHERE a.job_id = cronzimus_job.id "  # noqa: S608
    f"AND a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL))"
)
"""The condition for jobs that have a held run which a newer one replaces."""
MAX_REPLACING = 100
"""Jobs without capacity that are claimed at once, at most, to replace their runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWork:
    """The work to do, now or later.

    `due_at` is the next fire time of all jobs, `prioritised_at` that of the jobs with a priority, and `waiting_at` the
    instant at which the next waiting run may start; None for none. `cancellations` tells whether a run of this
    scheduler is to be cancelled, and `paused` whether all jobs are paused. `others` is the number of other schedulers.
    """

    due_at: datetime | None
    prioritised_at: datetime | None
    waiting_at: datetime | None
    cancellations: bool
    paused: bool
    others: int

    def is_due(self, now: datetime) -> bool:
        """Tell whether a job is due at `now`."""
        return self.due_at is not None and self.due_at <= now

    def is_prioritised(self, now: datetime) -> bool:
        """Tell whether a job is due at `now` that has a priority above or below the others."""
        return self.prioritised_at is not None and self.prioritised_at <= now

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether a waiting run may start at `now`."""
        return self.waiting_at is not None and self.waiting_at <= now


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
    """The row of a due job from raw SQL: JSON as text, and on SQLite instants as text too.

    `executor` has the job's lane.
    """

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
    """A due job, its arguments and its plan. `error` has the reason if its row is invalid, else ""."""

    job: DueJob
    args: list[Any]
    kwargs: dict[str, Any]
    plan: Plan
    error: str = ""


def pending_work(scheduler_id: str) -> PendingWork:
    """Return the work for `scheduler_id`, in one statement of a few index look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(_pending_sql(connection.vendor), [scheduler_id, scheduler_id])
        *instants, cancellations, paused, others = cursor.fetchone()
    due_at, prioritised_at, waiting_at = (_instant(at) for at in instants)
    return PendingWork(
        due_at=due_at, prioritised_at=prioritised_at, waiting_at=waiting_at,
        cancellations=bool(cancellations), paused=bool(paused), others=others,
    )  # fmt: skip


def cancel_requests(scheduler_id: str) -> list[tuple[int, str, str]]:
    """Return id, executor and reason of the active runs of `scheduler_id` that are to be cancelled."""
    requested = Run.objects.active().filter(scheduler_id=scheduler_id, cancel_requested_at__isnull=False)
    return list(requested.values_list("id", "executor", "reason"))


def has_work_in_reach(horizon: datetime, now: datetime, lanes: Collection[str]) -> bool:
    """Tell whether one of `lanes` has a job that is due at `horizon`, or a waiting run that may start at `now`.

    Jobs and runs of other lanes wait for a worker.
    """
    in_reach = ~Q(executor=Executor.CELERY) | Q(queue__in=[lane.removeprefix(REMOTE) for lane in lanes])
    may_start = Q(available_at__isnull=True) | Q(available_at__lte=now)
    return (
        Job.objects.due(horizon).filter(in_reach).exists() or Run.objects.waiting().filter(in_reach, may_start).exists()
    )


def plan_due_jobs(capacity: Mapping[str, int], now: datetime, *, by_priority: bool) -> list[Planned]:
    """Lock the jobs to claim at `now`, which `claims.claim_due` describes, and plan each of them.

    Their rows stay locked until the transaction ends.
    """
    jobs = _due_jobs(capacity, now, by_priority=by_priority)
    if not jobs:
        return []
    busy = _busy([job.id for job in jobs], now)
    return [_plan(job, busy.get(job.id, IDLE), now) for job in jobs]


@cache
def _pending_sql(vendor: str) -> str:
    # As text on SQLite: Django reads a damaged instant as None, which would hide the jobs that are due after it.
    next_run_time = bulk.as_text("next_run_time") if vendor == "sqlite" else "next_run_time"
    return (
        f"SELECT (SELECT {next_run_time} FROM cronzimus_job WHERE next_run_time IS NOT NULL "  # noqa: S608
        "ORDER BY next_run_time LIMIT 1), "
        f"(SELECT {next_run_time} FROM cronzimus_job WHERE next_run_time IS NOT NULL AND NOT (priority = 0) "
        "ORDER BY next_run_time LIMIT 1), "
        "(SELECT COALESCE(available_at, queued_at) FROM cronzimus_run WHERE status = 'queued' AND scheduler_id IS NULL "
        "ORDER BY COALESCE(available_at, queued_at) LIMIT 1), "
        f"EXISTS (SELECT 1 FROM cronzimus_run WHERE scheduler_id = %s AND status IN ({ACTIVE_SQL}) "
        "AND cancel_requested_at IS NOT NULL), "
        "EXISTS (SELECT 1 FROM cronzimus_control WHERE paused), "
        "(SELECT count(*) FROM cronzimus_scheduler WHERE stopped_at IS NULL AND id <> %s)"
    )


def _instant(value: object) -> datetime | None:
    try:
        return None if value is None else bulk.from_time(value)
    except (TypeError, ValueError):
        # A damaged instant sorts before all others, so that the claim repairs its row.
        return datetime.min.replace(tzinfo=UTC)


def _due_jobs(capacity: Mapping[str, int], now: datetime, *, by_priority: bool) -> list[DueJob]:
    jobs: list[DueJob] = []
    wanted = max(capacity.values(), default=0) or MAX_REPLACING
    executors, remote = _split(name for name, runs in capacity.items() if runs)
    with connection.cursor() as cursor:
        for rank in RANKS if by_priority else (ALL,):
            if len(jobs) < wanted:
                sql = _due_sql(connection.vendor, rank, executors)
                cursor.execute(sql, [bulk.instant(now), *remote, wanted - len(jobs)])
                jobs += [DueJob._make(row) for row in cursor.fetchall()]
    return _within_capacity(jobs, capacity) if any(capacity.values()) else jobs


def _split(lanes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of this machine's executors, with one empty name for each queue, and the lanes of the queues.

    So the statement's text depends on the number of queues, and not on their names.
    """
    names = sorted(lanes)
    remote = tuple(name for name in names if name.startswith(REMOTE))
    return (*(name for name in names if name not in remote), *("" for _ in remote)), remote


def _within_capacity(jobs: Sequence[DueJob], capacity: Mapping[str, int]) -> list[DueJob]:
    """Return the jobs that fit into the executors; the others stay due, for a scheduler that has capacity."""
    left, kept = Capacity(capacity), []
    for job in jobs:
        lane = executor_of(job)
        if left.get(lane, 1) > 0:
            kept.append(job)
            left.take(lane)
    return kept


@cache
def _due_sql(vendor: str, rank: Rank, executors: tuple[str, ...]) -> str:
    # As text on SQLite, so that a damaged instant fails its own job, and not the whole statement.
    read = {"executor": LANE_SQL}
    if vendor == "sqlite":
        read |= {name: bulk.as_text(name) for name in ("anchor", "next_run_time")}
    columns = ", ".join(read.get(name, f'"{name}"') for name in DueJob._fields)
    # Schedulers do not wait for each other: each takes jobs that no other is taking.
    lock = "FOR UPDATE SKIP LOCKED" if vendor == "postgresql" else ""
    return (
        f"SELECT {columns} FROM cronzimus_job WHERE next_run_time <= %s {_fitting(executors)} {rank.condition} "  # noqa: S608
        f"ORDER BY {rank.order} LIMIT %s {lock}"
    )


def _fitting(executors: tuple[str, ...]) -> str:
    """Return the condition for jobs of `executors`, which have capacity; without any, for jobs that replace a run.

    PostgreSQL takes a comparison of an expression for rare, and would sort all due jobs. It expects COALESCE to be true
    for half of them.
    """
    if not executors:
        return f"AND {REPLACING_SQL}"
    if set(executors) == LOCAL:
        return f"AND {LOCAL_SQL}"
    local = f"{LOCAL_SQL} AND {EXECUTOR_SQL} IN ({', '.join(repr(str(name)) for name in executors if name)})"
    remote = f"{LANE_SQL} IN ({', '.join('%s' for name in executors if not name)})"
    if all(executors):
        return f"AND COALESCE({local}, false)"
    return f"AND COALESCE({local} OR {remote}, false)" if any(executors) else f"AND COALESCE({remote}, false)"


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
        for job_id, run_id, owner, is_later in cursor.fetchall():
            found[job_id]["held" if owner else "later" if is_later else "waiting"].append(run_id)
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
