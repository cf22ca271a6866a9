"""One fault at every point: at each statement and each message of a claim, a start and an end, of every executor."""

from __future__ import annotations

import os

import pytest

from tests.conftest import CI

from .conftest import Begin
from .plans import JobPlan
from .world import Fault

POINTS = 115
"""Points of a process that are tried; the runs of the three jobs have ended by then."""
EVERY = int(os.environ.get("SIMULATION_EVERY", "4" if CI else "40"))
"""Of so many points one is tried: not the same ones by each kind of fault, so that each point meets some of them."""
JOBS = [JobPlan(executor=executor, seconds=0.3, retries=1) for executor in ("celery", "thread", "process")]
FIRST = 9.9
"""Seconds from the beginning to the first fire time, nearly."""


@pytest.mark.parametrize("kind", Fault.KINDS)
@pytest.mark.parametrize("who", [0, 1, 2], ids=["scheduler", "other_scheduler", "worker"])
def test_a_fault_at_any_point_leaves_every_run_accounted_for(begin: Begin, who: int, kind: str) -> None:
    found = {}
    for at in range(1 + Fault.KINDS.index(kind) % EVERY, POINTS + 1, EVERY):
        history = begin(*JOBS, schedulers=2, workers=1)
        history.go_on(FIRST)
        history.strike(who, kind, at, seconds=20.0)
        history.go_on(21.0)
        history.start()
        problems = history.verdict()
        if problems:
            found[at] = problems + history.world.reached
        history.close()
    assert found == {}
