"""Claim for jobs that replace their own runs, although there is no room: such a run may be what takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ..core.planning import PlannedRun
from .store import claims
from .store.admission import Look

EVERY = timedelta(seconds=1)
"""Time between two looks for such jobs, while there is no room: to find them, all that is due is read."""


class Replacer:
    """Goes by when it looked last for such jobs."""

    def __init__(self) -> None:
        """Look at the first occasion."""
        self._looked_at: datetime | None = None

    def claim(
        self, scheduler_id: str, rooms: Mapping[str, int], seen: Look, now: datetime
    ) -> Sequence[tuple[str, PlannedRun]]:
        """Claim for due jobs whose running runs are to be replaced, where an executor has no room at `now`.

        The new runs wait without an owner; whoever has a slot first, most likely that of the old run, takes them.
        Return the runs that were born finished.
        """
        full = bool(rooms) and not all(rooms.values())
        if not full or seen.due_at is None or seen.due_at > now:
            return ()
        if self._looked_at is not None and timedelta() <= now - self._looked_at < EVERY:
            return ()
        self._looked_at = now
        return claims.claim_due(scheduler_id, {}, now, by_priority=seen.goes_by_priority(now)).unstarted
