"""The values that schedulers, workers and their processes exchange: held runs, starts, output so far, and outcomes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from .runs import RunStatus, lane_of


class HeldRun(NamedTuple):
    """A run that a scheduler or worker holds. It may start while `scheduler_id`, its holder, has the lease.

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


class CallEnd(NamedTuple):
    """How the call of a run's function ended. The fields are those of `Outcome`."""

    status: RunStatus
    reason: str = ""
    result: str = ""
    error: str = ""
    traceback: str = ""
    called: Called | None = None


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
