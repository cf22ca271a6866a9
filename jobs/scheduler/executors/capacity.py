"""The executors of a scheduler taken together, and how many runs each may be given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..store.held import HeldRun, Outcome
from .base import RunExecutor

AHEAD_SECONDS = 0.1
"""Work that is claimed ahead, by the mean duration of the latest runs."""
MAX_AHEAD = 500
"""Runs claimed ahead, at most."""
WINDOW = 100
"""Window of the moving average, in runs: of a larger batch only the last ones are measured."""
HALF_LIFE = 20
"""Runs after which what was measured before counts for half."""
HUNG_SECONDS = 1.0
"""Time without an end after which busy slots are taken to hang."""
MIN_DURATION = 1e-6
"""Seconds that a run takes at least, to divide by."""


class Executors:
    """The executors by name, each with the mean duration of its runs."""

    def __init__(self, by_name: Mapping[str, RunExecutor]) -> None:
        """Take the executors of a scheduler."""
        self.by_name = dict(by_name)
        self._durations = {name: MeanDuration() for name in self.by_name}

    def slots(self, name: str) -> int:
        """Return how many runs the executor `name` can have running at once; 0 where there is no such executor."""
        return self.by_name[name].slots if name in self.by_name else 0

    @property
    def queued(self) -> int:
        """How many runs they have taken and not started."""
        return sum(executor.queued for executor in self.by_name.values())

    @property
    def taken(self) -> int:
        """How many runs they have taken and not ended."""
        return sum(executor.taken for executor in self.by_name.values())

    def held(self) -> set[int]:
        """Return the ids of the runs that they have taken and not ended."""
        return set().union(*(executor.held() for executor in self.by_name.values()))

    def capacity(self, at: float, others: int = 0) -> dict[str, int]:
        """Return how many runs each may be given: its free slots, and what these end soon.

        `at` is the monotonic time in seconds. With `others`, the other schedulers, each claims its share ahead of what
        one alone would, so that all get a part of what is due at once.
        """
        ahead = MAX_AHEAD // (1 + others)
        return {name: self._capacity_of(name, executor, at, ahead) for name, executor in self.by_name.items()}

    def _capacity_of(self, name: str, executor: RunExecutor, at: float, max_ahead: int) -> int:
        slots, taken = executor.slots, executor.taken
        ahead = self._durations[name].ends_within(AHEAD_SECONDS, slots=slots, at=at, busy=taken >= slots)
        return max(slots + min(ahead, max_ahead) - taken, 0)

    def measure(self, outcomes: Sequence[Outcome], at: float) -> None:
        """Learn from `outcomes`, which were written at the monotonic time `at`, how long runs take."""
        durations: dict[str, list[float]] = {name: [] for name in self.by_name}
        for outcome in outcomes[-WINDOW:]:
            if outcome.started_at is not None:
                durations[outcome.executor].append((outcome.finished_at - outcome.started_at).total_seconds())
        for name, mean in self._durations.items():
            mean.add(durations[name], at)

    def submit(self, runs: Sequence[HeldRun]) -> None:
        """Hand each run to its executor."""
        for name, executor in self.by_name.items():
            executor.submit_all([run for run in runs if run.executor == name])

    def take_back(self, names: Collection[str] | None = None) -> list[HeldRun]:
        """Return the runs that the executors `names` (None: all) have not started, and forget them."""
        chosen = self.by_name if names is None else names
        return [run for name in chosen for run in self.by_name[name].take_back()]

    def cancel(self, run_id: int, name: str, reason: str) -> HeldRun | None:
        """Cancel a run of the executor `name`: return it if it was not started, or end it as the executor can."""
        unstarted = self.by_name[name].take_back_one(run_id)
        if unstarted is None:
            self.by_name[name].cancel(run_id, reason)
        return unstarted

    def abandon(self) -> None:
        """End at once what is running, where that is possible."""
        for executor in self.by_name.values():
            executor.abandon()


class MeanDuration:
    """The mean duration of an executor's runs, in which the latest count most.

    It does not count how many runs end in a second: for an executor that was idle, that says little.
    """

    def __init__(self) -> None:
        """Start without a measurement."""
        self._mean: float | None = None
        self._ended_at = 0.0

    def add(self, durations: Sequence[float], at: float) -> None:
        """Add runs that took `durations` seconds each and had ended by the monotonic time `at`."""
        if not durations:
            return
        latest = max(sum(durations) / len(durations), MIN_DURATION)
        weight = 0.0 if self._mean is None else 0.5 ** (len(durations) / HALF_LIFE)
        self._mean = latest if self._mean is None else weight * self._mean + (1 - weight) * latest
        self._ended_at = at

    def ends_within(self, seconds: float, *, slots: int, at: float, busy: bool) -> int:
        """Return how many runs `slots` slots end within `seconds` from the monotonic time `at`, as far as is known.

        0 where all slots are `busy` and no run has ended for `HUNG_SECONDS`.
        """
        if self._mean is None or (busy and at - self._ended_at > HUNG_SECONDS):
            return 0
        return int(slots * seconds / self._mean)
