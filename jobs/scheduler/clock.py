"""The one clock that lateness is judged by: the database server's, where there is one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connection

from jobs.core.clock import SystemClock


class DatabaseClock(SystemClock):
    """The database server's clock: schedulers on machines whose clocks differ agree on what is due.

    Between two calls of `synchronise` it runs on the machine's monotonic clock, so that a jump of the machine's own
    clock moves nothing. SQLite has no server: there the machine's clock is the one that all schedulers share.
    """

    def __init__(self) -> None:
        """Start on the machine's clock."""
        self._offset: timedelta | None = None

    def now(self) -> datetime:
        """Return this instant, aware, in UTC."""
        if self._offset is None:
            return super().now()
        return datetime.fromtimestamp(self.monotonic(), UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds that never go back, and that count while the machine sleeps (CLOCK_BOOTTIME, Linux)."""
        return time.clock_gettime(_CLOCK)

    def synchronise(self) -> None:
        """Read the database server's clock."""
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            before = self.monotonic()
            cursor.execute("SELECT clock_timestamp()")
            (server_time,) = cursor.fetchone()
            middle = (before + self.monotonic()) / 2
        self._offset = server_time - datetime.fromtimestamp(middle, UTC)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
