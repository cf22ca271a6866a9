"""What a scheduler took and can not start: it is given back, for any scheduler to have."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from .store import admission
from .store.held import HeldRun


class Unstarted:
    """Runs to be given back. Filled by the executors' threads too; emptied by the loop, once the database knows."""

    def __init__(self) -> None:
        """Start with none."""
        self._runs: deque[HeldRun] = deque()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._runs)

    def add(self, runs: Iterable[HeldRun]) -> None:
        """Have `runs` given back."""
        self._runs.extend(runs)

    def give_back(self, scheduler_id: str, now: datetime) -> None:
        """Give them back. Raises what the database raises; nothing is lost then."""
        runs = list(self._runs)
        if runs:
            admission.give_back(scheduler_id, [run.id for run in runs], now)
        for _ in runs:
            self._runs.popleft()

    def give_back_orphans(self, scheduler_id: str, known: set[int], now: datetime) -> None:
        """Give back what a claim took whose answer was lost with the connection: nobody would start it.

        `known` has the runs that the scheduler knows to hold.
        """
        mine = known | {run.id for run in self._runs}
        admission.give_back(scheduler_id, list(admission.held(scheduler_id) - mine), now)
