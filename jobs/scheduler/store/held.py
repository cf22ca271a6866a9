"""What passes between the parts of a scheduler: a run that it holds, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ...core.runs import ACTIVE, RunStatus
from . import bulk

HELD = "id, job_id, func, args, kwargs, scheduled_time, attempt, executor, timeout"
"""The columns of a run that `HeldRun.of` reads."""

ACTIVE_SQL = ", ".join(f"'{status}'" for status in ACTIVE)
"""The statuses of active runs, to stand in SQL: a partial index serves only where the statement's own text has them."""


class HeldRun(NamedTuple):
    """A run that this scheduler has claimed and may start, while `scheduler_id` is the name of its lease.

    `timeout` is in seconds, None for none.
    """

    id: int
    job_id: str
    func: str
    args: list[Any]
    kwargs: dict[str, Any]
    scheduled_time: datetime
    attempt: int
    executor: str
    timeout: int | None
    scheduler_id: str = ""

    @classmethod
    def of(cls, row: Sequence[Any], scheduler_id: str) -> HeldRun:
        """Return the run of a row of `HELD` that raw SQL gave, held by `scheduler_id`."""
        run_id, job_id, func, args, kwargs, scheduled_time, attempt, executor, timeout = row
        return cls(
            id=run_id, job_id=job_id, func=func, args=bulk.from_json(args), kwargs=bulk.from_json(kwargs),
            scheduled_time=bulk.from_time(scheduled_time), attempt=attempt, executor=executor, timeout=timeout,
            scheduler_id=scheduler_id,
        )  # fmt: skip


class Outcome(NamedTuple):
    """How a run ended. `result` is JSON, or "" for none; the texts are ready to be stored."""

    run_id: int
    job_id: str
    executor: str
    status: RunStatus
    started_at: datetime | None
    finished_at: datetime
    reason: str = ""
    result: str = ""
    error: str = ""
    traceback: str = ""
    output: str = ""
    progress: tuple[int, int | None] | None = None
