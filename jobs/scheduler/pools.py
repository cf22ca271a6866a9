"""The executors of a scheduler taken together, and how many runs each may be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .executors import Executor
from .rate import Rate
from .work import HeldRun, Outcome

AHEAD = 0.1
"""Seconds of work that are claimed ahead, at the rate at which runs end now."""
MAX_AHEAD = 500
"""Runs that are claimed ahead at the most."""


class Pools:
    """The executors by name, each with the rate at which its runs end."""

    def __init__(self, executors: Mapping[str, Executor]) -> None:
        """Take the executors of a scheduler."""
        self.executors = dict(executors)
        self._rates = {name: Rate() for name in self.executors}

    @property
    def queued(self) -> int:
        """How many runs they have taken and not started."""
        return sum(executor.queued for executor in self.executors.values())

    @property
    def taken(self) -> int:
        """How many runs they have taken and not ended."""
        return sum(executor.taken for executor in self.executors.values())

    def held(self) -> set[int]:
        """Return the ids of the runs that they have taken and not ended."""
        return set().union(*(executor.held() for executor in self.executors.values()))

    def rooms(self, at: float) -> dict[str, int]:
        """Return how many runs each may be given: its free slots, and what it ends soon at the rate of now.

        `at` is the monotonic time in seconds.
        """
        return {name: self._room(name, executor, at) for name, executor in self.executors.items()}

    def _room(self, name: str, executor: Executor, at: float) -> int:
        ahead = min(int(self._rates[name].per_second(at) * AHEAD), MAX_AHEAD)
        return max(executor.slots + ahead - executor.taken, 0)

    def ended(self, outcomes: Sequence[Outcome], at: float) -> None:
        """Note that `outcomes` were written at the monotonic time `at`."""
        for name, rate in self._rates.items():
            rate.add(sum(outcome.executor == name for outcome in outcomes), at)

    def submit(self, runs: Sequence[HeldRun]) -> None:
        """Hand `runs` to their executors."""
        for name, executor in self.executors.items():
            executor.submit_all([run for run in runs if run.executor == name])

    def take_back(self) -> list[HeldRun]:
        """Return the runs that they have not started, and forget them."""
        return [run for executor in self.executors.values() for run in executor.take_back()]
