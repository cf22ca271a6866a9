"""The clock of all schedulers on a database: that of the database server, if there is one."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection

from ...core.clock import SystemClock

logger = logging.getLogger("cronzimus.scheduler.store.clock")

MIN_JUMP = timedelta(seconds=2)
"""A clock that differs by more than this from the monotonic one between two readings was set, not just corrected."""
MAX_DOUBT = timedelta(seconds=1)
"""A reading that may be wrong by more than this says less than the one before."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Reading(NamedTuple):
    """A reading of a clock: how far it is ahead of the monotonic one, give or take `doubt`.

    The clock was read at some time between a question and its answer: the doubt is half of that time.
    """

    ahead: timedelta
    doubt: timedelta


class DatabaseClock(SystemClock):
    """The database server's clock, so that schedulers on machines with different clocks agree on what is due.

    Between two calls of `synchronise` it follows the machine's monotonic clock, so that a jump of the machine's wall
    clock has no effect. On SQLite, all schedulers share the machine's clock.
    """

    def __init__(self) -> None:
        """Start with the machine's clock."""
        self._offset: timedelta | None = None
        self._last_read: Reading | None = None
        self.jumped_at = float("-inf")
        """The monotonic time at which the last jump was noticed, in seconds."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        if self._offset is None:
            return super().now()
        return datetime.fromtimestamp(self.monotonic(), UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds that never go back, and that count while the machine sleeps (CLOCK_BOOTTIME, Linux)."""
        return time.clock_gettime(_CLOCK)

    @property
    def skew(self) -> float:
        """The seconds by which the machine's clock is ahead of this one."""
        return (super().now() - self.now()).total_seconds()

    def synchronise(self) -> None:
        """Read the clock of the database server, or on SQLite the machine's, and check whether it was set."""
        reading, known = self._read(), self._last_read
        if known is not None:
            jump = reading.ahead - known.ahead
            if abs(jump) > MIN_JUMP + reading.doubt + known.doubt:
                self.jumped_at = self.monotonic()
                logger.warning("the clock jumped by %+.0f s", jump.total_seconds(), extra={"action": "clock_jumped"})
            elif reading.doubt > MAX_DOUBT:
                return
        self._last_read = reading
        if connection.vendor == "postgresql":
            self._offset = reading.ahead

    def _read(self) -> Reading:
        """Read the clock."""
        before = self.monotonic()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                before = self.monotonic()  # not earlier: the time to connect is no part of the answer's
                cursor.execute("SELECT clock_timestamp()")
                (time_shown,) = cursor.fetchone()
        else:
            time_shown = super().now()
        doubt = (self.monotonic() - before) / 2
        ahead: timedelta = time_shown - datetime.fromtimestamp(before + doubt, UTC)
        return Reading(ahead, timedelta(seconds=doubt))
