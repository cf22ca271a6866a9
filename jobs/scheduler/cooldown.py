"""Keep the loop from looking again and again for work that it cannot take yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from math import inf

from ..core.capacity import Capacity

COOLDOWN_SECONDS = 0.1
"""Time until the loop looks for work again, unless a run ends before."""
MAX_REST_SECONDS = 10.0
"""Time until something slow is repeated, at most: the process may only have stood still meanwhile."""


def rest_after(seconds: float) -> float:
    """Return the seconds until something that took so many `seconds` is repeated: it may take a tenth of the time."""
    return min(9 * seconds, MAX_REST_SECONDS)


class Cooldown:
    """Pauses the search for one kind of work, due jobs or waiting runs, by executor.

    An executor with capacity may be unable to take the work: a job or a group is full, the work is for another
    executor, or another scheduler is taking it.
    """

    def __init__(self) -> None:
        """Start without a pause."""
        self._front_at: datetime | None = None
        self._until: dict[str, float] = {}
        self._earliest = 0.0

    def ready(self, capacity: Capacity, front_at: datetime | None, now: datetime, at: float) -> Capacity:
        """Return the part of `capacity` for which to look at `now`, which is the monotonic time `at`.

        `front_at` is the instant of the first work, which may lie ahead; None for no work. A different job or run at
        the front means that there is new work, which ends the pause.
        """
        if front_at != self._front_at:
            self._front_at = front_at
            self._until.clear()
        if front_at is None or front_at > now:
            return capacity.only(())
        return capacity.only(name for name, free in capacity.items() if free and at >= self._until.get(name, 0.0))

    def missed(self, names: Iterable[str], began: float, ended: float) -> None:
        """Note that a look between two monotonic times found nothing for the executors `names`."""
        self._earliest = ended + rest_after(ended - began)
        self._until |= dict.fromkeys(names, max(ended + COOLDOWN_SECONDS, self._earliest))

    def shorten(self) -> None:
        """Look again sooner, because a run has ended, perhaps of the job or the group that was full."""
        self._until = {name: min(until, self._earliest) for name, until in self._until.items()}

    def wait(self, names: Collection[str], now: datetime, at: float) -> float:
        """Return the seconds until the next search for work for one of `names`; 0 or less means at once.

        `at` is the monotonic time of `now`.
        """
        if self._front_at is None or not names:
            return inf
        ahead = (self._front_at - now).total_seconds()
        return max(ahead, min(self._until.get(name, 0.0) for name in names) - at)
