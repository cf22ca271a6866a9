"""The mean duration of runs, a forecast of how many end within a time, and the number that ended of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

AHEAD_SECONDS = 0.1
"""Seconds of work that executors are given ahead of their free slots, by the mean duration of their latest runs."""
MAX_AHEAD = 500
"""Runs that they are given ahead, at most."""
HALF_LIFE = 20
"""Runs after which earlier measurements have half their weight."""
HUNG_SECONDS = 1.0
"""Seconds without an end of a run after which busy slots count as hung."""
RECENT_SECONDS = 1.0
"""Seconds for which the end of a run is recent."""
MIN_DURATION = 1e-6
"""Seconds that a run takes at least, so that the mean can be a divisor."""


class MeanDuration:
    """The moving average of the durations of an executor's runs.

    The forecast does not use the number of runs that end in a second: after idle times that says little.
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
        """Return how many runs `slots` slots probably end within `seconds` from the monotonic time `at`.

        It is 0 without a measurement, and where all slots are `busy` and no run has ended for `HUNG_SECONDS`.
        """
        if self._mean is None or (busy and at - self._ended_at > HUNG_SECONDS):
            return 0
        return int(slots * seconds / self._mean)


class RecentEnds:
    """The number of runs that have ended in the last `RECENT_SECONDS`."""

    def __init__(self) -> None:
        """Start without an end."""
        self._ends: deque[tuple[float, int]] = deque()

    def add(self, number: int, at: float) -> None:
        """Add `number` runs that had ended by the monotonic time `at`."""
        if number:
            self._ends.append((at, number))

    def count(self, at: float) -> int:
        """Return the number of ends in the `RECENT_SECONDS` before the monotonic time `at`."""
        while self._ends and self._ends[0][0] < at - RECENT_SECONDS:
            self._ends.popleft()
        return sum(number for _, number in self._ends)
