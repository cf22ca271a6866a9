"""Helpers for the tests of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from jobs.core.held import Outcome
from jobs.models import Run
from jobs.scheduler.recorder import Recorder
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store import outcomes
from tests.fakes import NOW, PLACE, InlineExecutor

MakeLoop = Callable[..., Loop]
Calls = list[tuple[Any, ...]]
HOURLY = {"type": "interval", "hours": 1}
"""The trigger of a job that is due once in a test: the next fire time does not come, however slow the machine is."""


def executor(loop: Loop) -> InlineExecutor:
    """Return the executor that replaces the threads, or the workers if runs are made for these."""
    return loop.tick.executors.by_name[PLACE.get("executor", "thread")]  # type: ignore[return-value]


def statuses(**wanted: Any) -> list[str]:
    """Return the statuses of all runs, or of the `wanted` ones, the oldest first."""
    return list(Run.objects.filter(**wanted).order_by("id").values_list("status", flat=True))


def settle(loop: Loop, ticks: int = 3, *, seconds: float = 0) -> None:
    """Tick, run the claimed runs, and tick until they are written; the clock advances by `seconds` after each tick."""
    for _ in range(ticks):
        loop.tick.run()
        executor(loop).work()
        loop.clock.advance(seconds)  # type: ignore[attr-defined]
    loop.clock.advance(0.1)  # type: ignore[attr-defined]
    loop.tick.run()


def step(loop: Loop) -> float:
    """Do one step of the loop, which catches errors."""
    return loop._process_jobs()


def flush(recorder: Recorder, scheduler_id: str = "s1") -> list[Outcome]:
    """Write the batch of `recorder` as the tick does, and return the stored outcomes."""
    batch = recorder.batch()
    with transaction.atomic():
        outcomes.write_starts(batch.starts, scheduler_id)
        written = outcomes.write_outcomes(batch.outcomes, scheduler_id, NOW)
    recorder.forget(batch)
    return written.outcomes


def flush_live(recorder: Recorder, scheduler_id: str = "s1") -> None:
    """Write the live output of running runs, as the tick does."""
    updates = recorder.live_updates()
    outcomes.write_live(updates, scheduler_id)
    recorder.shown(updates)
