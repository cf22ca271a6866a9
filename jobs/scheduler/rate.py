"""How fast runs end, by which the loop claims ahead."""

from __future__ import annotations

from collections import deque


class Rate:
    """How many runs ended a second, of late."""

    def __init__(self) -> None:
        """Start at none."""
        self._ended: deque[tuple[float, int]] = deque()

    def add(self, count: int, at: float) -> None:
        """Note that `count` runs ended by the monotonic time `at`."""
        if count:
            self._ended.append((at, count))

    def per_second(self, at: float) -> float:
        """Return the rate over the second before `at`, counted from the first end in it where that is later."""
        while self._ended and self._ended[0][0] < at - 1.0:
            self._ended.popleft()
        if not self._ended:
            return 0.0
        return sum(count for _, count in self._ended) / max(at - self._ended[0][0], 0.01)
