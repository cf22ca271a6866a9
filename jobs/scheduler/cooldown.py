"""Work that is there and could not be taken: until when the loop does not look for it again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from math import inf

STUCK = 0.1
"""Seconds after which it is looked for again, if no run has ended meanwhile."""


class Stuck:
    """Work of one kind, jobs that are due or runs that wait, that executors with room could not take.

    It is of a full job or group, or for another executor, or somebody else is taking it.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self._since: datetime | None = None
        self._until: dict[str, float] = {}
        self._soonest = 0.0

    def worth(self, rooms: Mapping[str, int], since: datetime | None, now: datetime, at: float) -> dict[str, int]:
        """Return those of `rooms` that are worth a look at the monotonic time `at`, which is `now`.

        The oldest of the work is there `since` then, None for no work: where that is another one, so is the work.
        """
        if since != self._since:
            self._since = since
            self._until.clear()
        if since is None or since > now:
            return {}
        return {name: room for name, room in rooms.items() if room and at >= self._until.get(name, 0.0)}

    def found_nothing(self, names: Iterable[str], began: float, ended: float) -> None:
        """Note that a look between two monotonic times found nothing that the executors `names` could take."""
        # What takes long is done less often: it may have a tenth of the loop's time.
        self._soonest = ended + 9 * (ended - began)
        self._until |= dict.fromkeys(names, max(ended + STUCK, self._soonest))

    def hurry(self) -> None:
        """Have it looked for sooner: a run has ended, perhaps of the job or the group that was full."""
        self._until = {name: min(until, self._soonest) for name, until in self._until.items()}

    def wait(self, names: Collection[str], now: datetime, at: float) -> float:
        """Return the seconds from `at`, which is `now`, until a look is worth it for one of `names`; perhaps none."""
        if self._since is None or not names:
            return inf
        ahead = (self._since - now).total_seconds()
        return max(ahead, min(self._until.get(name, 0.0) for name in names) - at)
