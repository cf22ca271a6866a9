"""The executors of a scheduler taken together, and how many runs each may be given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .executors import Executor
from .pace import Pace
from .store.held import HeldRun, Outcome

AHEAD = 0.1
"""Seconds of work that are claimed ahead, at the pace at which runs end of late."""
MAX_AHEAD = 500
"""Runs that are claimed ahead at the most."""

TOLD = 100
"""Outcomes of a batch that tell how long runs take: the last ones, in which those before count for nothing."""


class Pools:
    """The executors by name, each with the pace at which its runs end."""

    def __init__(self, executors: Mapping[str, Executor]) -> None:
        """Take the executors of a scheduler."""
        self.executors = dict(executors)
        self._paces = {name: Pace() for name in self.executors}

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

    def rooms(self, at: float, others: int = 0) -> dict[str, int]:
        """Return how many runs each may be given: its free slots, and what it ends soon at its pace.

        `at` is the monotonic time in seconds; with so many `others` each claims a share of what one alone would, so
        that all have a part of what is due at once.
        """
        most = MAX_AHEAD // (1 + others)
        return {name: self._room(name, executor, at, most) for name, executor in self.executors.items()}

    def _room(self, name: str, executor: Executor, at: float, most: int) -> int:
        slots, taken = executor.slots, executor.taken
        ahead = self._paces[name].ends_within(AHEAD, slots=slots, at=at, busy=taken >= slots)
        return max(slots + min(ahead, most) - taken, 0)

    def ended(self, outcomes: Sequence[Outcome], at: float) -> None:
        """Note that `outcomes` were written at the monotonic time `at`."""
        durations: dict[str, list[float]] = {name: [] for name in self.executors}
        for outcome in outcomes[-TOLD:]:
            if outcome.started_at is not None:
                durations[outcome.executor].append((outcome.finished_at - outcome.started_at).total_seconds())
        for name, pace in self._paces.items():
            pace.add(durations[name], at)

    def submit(self, runs: Sequence[HeldRun]) -> None:
        """Hand `runs` to their executors."""
        for name, executor in self.executors.items():
            executor.submit_all([run for run in runs if run.executor == name])

    def take_back(self, names: Collection[str] | None = None) -> list[HeldRun]:
        """Return the runs that those called `names` have not started (None: that none has), and forget them."""
        chosen = self.executors if names is None else names
        return [run for name in chosen for run in self.executors[name].take_back()]
