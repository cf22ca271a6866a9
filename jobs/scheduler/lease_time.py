"""The time for which a process may act on its lease: the same for schedulers and for workers."""

from __future__ import annotations

from ..core.clock import Clock

HEARTBEAT_SECONDS = 5.0
"""Time between two heartbeats."""
LEASE_SECONDS = 15.0
"""Time for which a process holds its runs without a new heartbeat."""


class LeaseTime:
    """A lease by the monotonic clock of the process that has it; without a heartbeat it has ended."""

    def __init__(self, clock: Clock) -> None:
        """Start with a lease that has ended."""
        self._clock = clock
        self.until = self.beat_at = self.due = 0.0
        """When it ends, and when the last heartbeat was and the next one is due, in monotonic seconds."""

    @property
    def held(self) -> bool:
        """Whether the lease has not ended."""
        return self._clock.monotonic() < self.until

    def _extend(self, beat: float) -> None:
        # From before the write, so that the lease ends here no later than in the eyes of others.
        self.until, self.beat_at, self.due = beat + LEASE_SECONDS, beat, beat + HEARTBEAT_SECONDS
