"""Runs that a scheduler took and cannot start: it gives them back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from ..core.held import HeldRun
from ..core.runs import RunStatus
from .store import admission, recovery


class Releases:
    """Runs that the scheduler took and cannot start: it gives them back, for any scheduler to take.

    Any thread may `add` runs. The loop gives them back, and forgets them once that is written.
    """

    def __init__(self) -> None:
        """Start without runs."""
        self._runs: deque[HeldRun] = deque()

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._runs)

    def add(self, runs: Iterable[HeldRun]) -> None:
        """Add runs to be given back."""
        self._runs.extend(runs)

    def give_back(self, holder: str, now: datetime) -> None:
        """Give the runs back. If the database raises an error, it is raised, and the runs are kept."""
        runs = list(self._runs)
        if runs:
            admission.give_back(holder, [run.id for run in runs], now)
        for _ in runs:
            self._runs.popleft()

    def reconcile(self, holder: str, known: set[int], now: datetime) -> set[int]:
        """Give back, or mark as lost, the runs that only the database has; return the ids of all that it has.

        `known` has the ids of the runs that this scheduler knows to be its own. Of the others, those that are queued
        were claimed, and the answer was lost with the connection: any scheduler may start them. Those that are running
        have ended: after a restore, or a failover, the database has forgotten how.
        """
        known = known | {run.id for run in self._runs}
        held = admission.held_runs(holder)
        orphans = held.keys() - known
        admission.give_back(holder, [run_id for run_id in orphans if held[run_id] == RunStatus.QUEUED], now)
        if ended := [run_id for run_id in orphans if held[run_id] == RunStatus.RUNNING]:
            recovery.lose([holder], recovery.FORGOTTEN, now, only=ended, skip_locked=True)
        return set(held)
