"""What the tests of the loop share: steps, and what is on record after them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jobs.models import Run
from jobs.scheduler.scheduler import Scheduler as Loop
from tests.fakes import InlineExecutor

MakeLoop = Callable[..., Loop]
Calls = list[tuple[Any, ...]]


def executor(loop: Loop) -> InlineExecutor:
    """Return what takes the place of the threads."""
    return loop._pools.executors["thread"]  # type: ignore[return-value]


def statuses(**wanted: Any) -> list[str]:
    """Return the statuses of all runs, or of those that are `wanted`, the oldest first."""
    return list(Run.objects.filter(**wanted).order_by("id").values_list("status", flat=True))


def settle(loop: Loop, ticks: int = 3) -> None:
    """Tick, run what was claimed, and tick until it is on record."""
    for _ in range(ticks):
        loop.tick()
        executor(loop).work()
    loop.clock.advance(0.1)  # type: ignore[attr-defined]
    loop.tick()


def step(loop: Loop) -> float:
    """Do what the loop does in one turn, errors included."""
    return loop._process_jobs()
