"""How long the loop waits after a tick that failed, and what it says of it."""

from __future__ import annotations

import logging

logger = logging.getLogger("cronzimus.scheduler.backoff")

FIRST, LAST = 0.2, 5.0
"""Seconds until a failed tick is tried again: at first, and at the most."""


class Backoff:
    """Counts the ticks that failed one after the other."""

    def __init__(self) -> None:
        """Start with none."""
        self.failures = 0

    def failed(self, error: Exception) -> float:
        """Note a tick that raised `error`; return the seconds until the next one."""
        self.failures += 1
        wait: float = min(FIRST * 2 ** min(self.failures - 1, 10), LAST)
        level = logging.WARNING if self.failures > 1 else logging.ERROR
        extra = {"action": "tick_failed"}
        logger.log(level, "%s; trying again in %.1f s", error, wait, exc_info=self.failures == 1, extra=extra)
        return wait

    def succeeded(self) -> None:
        """Note a tick that did not fail."""
        if self.failures:
            logger.info("going on after %d failures", self.failures, extra={"action": "tick_recovered"})
            self.failures = 0
