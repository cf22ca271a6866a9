"""Wait longer and longer while something fails."""

from __future__ import annotations

from ..core.retries import growing_wait


class Backoff:
    """Counts the failures in a row, and tells when to try again. Its caller writes the log."""

    def __init__(self, first: float, last: float) -> None:
        """Wait `first` seconds after the first failure, twice as long after each further one, at most `last`."""
        self._first, self._last = first, last
        self.failures = 0
        self.retry_at = float("-inf")
        """The monotonic time of the next try, in seconds."""

    def failed(self, at: float) -> float:
        """Note a failure at the monotonic time `at`; return the seconds until the next try."""
        self.failures += 1
        wait = growing_wait(self.failures, self._first, self._last)
        self.retry_at = at + wait
        return wait

    def succeeded(self) -> bool:
        """Note a success; return whether it is the first one after failures."""
        has_recovered = self.failures > 0
        self.failures, self.retry_at = 0, float("-inf")
        return has_recovered
