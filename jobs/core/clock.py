"""The clock, so that nothing else reads it: whoever needs the time is handed a `Clock`, or the instant itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start, which never go back."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic time in seconds (clock_gettime(2), CLOCK_MONOTONIC)."""
        return time.monotonic()
