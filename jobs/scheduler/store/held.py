"""How the SQL of the loop reads held runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.held import HeldRun
from ...core.runs import ACTIVE, REMOTE, Executor
from . import bulk

HELD_COLUMNS = (
    "id", "job_id", "func", "args", "kwargs", "scheduled_time", "attempt", "executor", "timeout", "traceparent",
)  # fmt: skip
"""The columns of a run that `held_run` reads."""

DISPATCHED_COLUMNS_SQL = bulk.qualified("cronzimus_run", (*HELD_COLUMNS, "queue", "dispatch_id"))
"""The columns of a run that `dispatched_run` reads, as SQL."""

ACTIVE_SQL = ", ".join(f"'{status}'" for status in ACTIVE)
"""The statuses of active runs as SQL: a partial index is used only if the statement's own text names them."""


def lane_sql(table: str) -> str:
    """Return SQL for the lane of a job or a run of `table`: the rule of `lane_of`."""
    return (
        f"CASE WHEN {table}.executor = '{Executor.CELERY}' THEN '{REMOTE}' || {table}.queue ELSE {table}.executor END"
    )


def held_run(row: Sequence[Any], holder: str) -> HeldRun:
    """Return the run of a raw row of `HELD_COLUMNS`, held by the scheduler or worker `holder`."""
    run_id, job_id, func, args, kwargs, scheduled_time, attempt, executor, timeout, traceparent = row
    return HeldRun(
        id=run_id, job_id=job_id, func=func, args=bulk.from_json(args), kwargs=bulk.from_json(kwargs),
        scheduled_time=bulk.from_time(scheduled_time), attempt=attempt, executor=executor, timeout=timeout,
        scheduler_id=holder, traceparent=traceparent,
    )  # fmt: skip


def dispatched_run(row: Sequence[Any], holder: str) -> HeldRun:
    """Return the run of a raw row of `DISPATCHED_COLUMNS_SQL`, held by `holder`."""
    *columns, queue, dispatch_id = row
    return held_run(columns, holder)._replace(queue=queue, dispatch_id=dispatch_id)
