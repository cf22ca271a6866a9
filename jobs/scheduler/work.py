"""What passes between the parts of a scheduler: a run that it holds, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.core.runs import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRun:
    """A run that this scheduler has claimed and may start."""

    id: int
    job_id: str
    func: str
    args: list[Any]
    kwargs: dict[str, Any]
    scheduled_time: datetime
    attempt: int
    executor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `result` is JSON, or "" for none; the texts are ready to be stored."""

    run_id: int
    job_id: str
    status: RunStatus
    started_at: datetime
    finished_at: datetime
    result: str = ""
    error: str = ""
    traceback: str = ""
    output: str = ""
    progress: tuple[int, int | None] | None = None
