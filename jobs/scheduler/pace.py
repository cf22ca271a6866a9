"""How long runs take, by which the loop claims ahead."""

from __future__ import annotations

from collections.abc import Sequence

HALF = 20
"""Runs after which what was known before counts for half."""
QUIET = 1.0
"""Seconds without an end after which busy slots are taken to be held up."""
SHORTEST = 1e-6
"""Seconds that a run takes at the least, so that the rest can be divided by it."""


class Pace:
    """The mean duration of the runs of an executor, in which the latest count most.

    Not how many end in a second: of an executor that had nothing to do for most of it, that says little.
    """

    def __init__(self) -> None:
        """Start without knowing anything."""
        self._mean: float | None = None
        self._ended_at = 0.0

    def add(self, durations: Sequence[float], at: float) -> None:
        """Note that runs ended by the monotonic time `at` that took `durations`, in seconds."""
        if not durations:
            return
        latest = max(sum(durations) / len(durations), SHORTEST)
        kept = 0.0 if self._mean is None else 0.5 ** (len(durations) / HALF)
        self._mean = latest if self._mean is None else kept * self._mean + (1 - kept) * latest
        self._ended_at = at

    def ends_within(self, seconds: float, *, slots: int, at: float, busy: bool) -> int:
        """Return how many runs `slots` slots end within `seconds` from the monotonic time `at`, as far as is known.

        None where they are all `busy`, and no run has ended for `QUIET` seconds.
        """
        if self._mean is None or (busy and at - self._ended_at > QUIET):
            return 0
        return int(slots * seconds / self._mean)
