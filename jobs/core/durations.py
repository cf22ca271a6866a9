"""How long runs take: a moving average, from which follows how many end within a time."""

from __future__ import annotations

from collections.abc import Sequence

HALF_LIFE = 20
"""Runs after which what was measured before counts for half."""
HUNG_SECONDS = 1.0
"""Time without an end after which busy slots are taken to hang."""
MIN_DURATION = 1e-6
"""Seconds that a run takes at least, to divide by."""


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
