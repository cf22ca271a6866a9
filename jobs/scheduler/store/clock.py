"""The one clock that lateness is judged by: the database server's, where there is one."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from django.db import connection

from ...core.clock import SystemClock

logger = logging.getLogger("cronzimus.scheduler.store.clock")

JUMP = timedelta(seconds=2)
"""By how much a clock has to leave the monotonic one between two readings to have been set, and not just corrected."""


class DatabaseClock(SystemClock):
    """The database server's clock: schedulers on machines whose clocks differ agree on what is due.

    Between two calls of `synchronise` it runs on the machine's monotonic clock, so that a jump of the machine's own
    clock moves nothing. SQLite has no server: there the machine's clock is the one that all schedulers share.
    """

    def __init__(self) -> None:
        """Start on the machine's clock."""
        self._offset: timedelta | None = None
        self._read_before: timedelta | None = None
        self.jumped_at = float("-inf")
        """When a jump was noticed last, in seconds of the monotonic clock."""

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""
        if self._offset is None:
            return super().now()
        return datetime.fromtimestamp(self.monotonic(), UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds that never go back, and that count while the machine sleeps (CLOCK_BOOTTIME, Linux)."""
        return time.clock_gettime(_CLOCK)

    def synchronise(self) -> None:
        """Read the clock: the database server's, or on SQLite the machine's. Notice whether it was set."""
        offset, before = self._read(), self._read_before
        if before is not None and abs(offset - before) > JUMP:
            self.jumped_at = self.monotonic()
            logger.warning(
                "the clock jumped by %+.0f s", (offset - before).total_seconds(), extra={"action": "clock_jumped"}
            )
        self._read_before = offset
        if connection.vendor == "postgresql":
            self._offset = offset

    def _read(self) -> timedelta:
        """Return by how much the clock is ahead of the monotonic one."""
        before = self.monotonic()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                before = self.monotonic()  # once it is connected: that takes its time, and is no part of the answer's
                cursor.execute("SELECT clock_timestamp()")
                (time_shown,) = cursor.fetchone()
        else:
            time_shown = super().now()
        middle = (before + self.monotonic()) / 2
        ahead: timedelta = time_shown - datetime.fromtimestamp(middle, UTC)
        return ahead


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
