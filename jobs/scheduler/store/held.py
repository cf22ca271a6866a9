"""The values that the parts of a scheduler exchange: held runs, starts, output so far, and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from ...core.runs import ACTIVE, RunStatus, lane_of
from . import bulk

HELD_COLUMNS = "id, job_id, func, args, kwargs, scheduled_time, attempt, executor, timeout, traceparent"
"""The columns of a run that `HeldRun.of` reads."""

ACTIVE_SQL = ", ".join(f"'{status}'" for status in ACTIVE)
"""The statuses of active runs as SQL: a partial index is used only if the statement's own text names them."""


class HeldRun(NamedTuple):
    """A run that a scheduler has claimed. It may start while `scheduler_id` is the id of the scheduler's lease.

    `timeout` is in seconds, None for none. `traceparent` comes from the request that asked for the run. A run that
    goes to a worker has a queue, and the id of the one delivery that may start it.
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
    traceparent: str | None = None
    queue: str = ""
    dispatch_id: str = ""

    @property
    def lane(self) -> str:
        """Its lane; see `lane_of`."""
        return lane_of(self.executor, self.queue)

    @classmethod
    def of(cls, row: Sequence[Any], scheduler_id: str) -> HeldRun:
        """Return the run of a raw row of `HELD_COLUMNS`, held by `scheduler_id`."""
        run_id, job_id, func, args, kwargs, scheduled_time, attempt, executor, timeout, traceparent = row
        return cls(
            id=run_id, job_id=job_id, func=func, args=bulk.from_json(args), kwargs=bulk.from_json(kwargs),
            scheduled_time=bulk.from_time(scheduled_time), attempt=attempt, executor=executor, timeout=timeout,
            scheduler_id=scheduler_id, traceparent=traceparent,
        )  # fmt: skip


class Start(NamedTuple):
    """The start of a run."""

    run_id: int
    started_at: datetime


class LiveUpdate(NamedTuple):
    """The output of a running run since the last update, and its progress.

    `text` follows the first `kept` characters of the stored output. The run has written `size` characters in all, of
    which `omitted` are left out; see `core.output`. `marks` are those of the whole output (`core.output_marks`).
    """

    run_id: int
    kept: int
    text: str
    size: int
    progress: tuple[int, int | None] | None
    omitted: int = 0
    marks: str = ""


class Called(NamedTuple):
    """The object that a function returned or raised in this process."""

    value: Any
    error: BaseException | None


class Outcome(NamedTuple):
    """The end of a run. `result` is JSON, "" for none; the texts can be stored as they are.

    `called` is only for APScheduler's listeners, and None without any.
    """

    run_id: int
    job_id: str
    executor: str
    status: RunStatus
    started_at: datetime | None
    finished_at: datetime
    scheduled_time: datetime
    reason: str = ""
    result: str = ""
    error: str = ""
    traceback: str = ""
    output: str = ""
    output_omitted: int = 0
    output_marks: str = ""
    progress: tuple[int, int | None] | None = None
    called: Called | None = None
