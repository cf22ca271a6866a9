"""Keep SQLite from planning the loop's statements by outdated statistics of ANALYZE.

SQLite believes its statistics until the next ANALYZE, even if a table grows. If they say that a table has a few rows,
it reads the whole table for each row of a batch, and the work grows with the square of the batch. Without statistics it
reads indexes. PostgreSQL looks at the current size of a table; `connection.TUNING` does the rest there.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connection

logger = logging.getLogger("cronzimus.scheduler.store.analysis")

TABLES_SQL = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')"
"""The tables that ANALYZE has made; the second one exists only if SQLite was built for it."""


class Analysis:
    """The statistics of Cronzimus's tables, as this scheduler's connection has read them."""

    def __init__(self) -> None:
        """Start without knowledge of any connection."""
        self._without: tuple[Any, int] | None = None

    def forget(self) -> None:
        """Delete the statistics, and close a connection that has read them. Does nothing on other databases.

        Call it at the start, with each heartbeat and outside of a transaction. A connection reads the statistics when
        it opens and when the schema has changed; after it is closed here, its next statement opens it again.
        """
        if connection.vendor != "sqlite":
            return
        with connection.cursor() as cursor:
            cursor.execute(TABLES_SQL)
            tables = [name for (name,) in cursor.fetchall()]
            for table in tables:
                cursor.execute(f"DELETE FROM {table} WHERE tbl LIKE 'cronzimus\\_%' ESCAPE '\\'")  # noqa: S608
                if cursor.rowcount:
                    logger.info("%d rows of %s deleted", cursor.rowcount, table, extra={"action": "analysis_forgotten"})
            if not tables or self._without == self._state(cursor):
                return
        connection.close()
        with connection.cursor() as cursor:
            self._without = self._state(cursor)

    def _state(self, cursor: Any) -> tuple[Any, int]:
        """Return the driver's connection and the schema's version: if one changes, the statistics are read again."""
        cursor.execute("PRAGMA schema_version")
        (version,) = cursor.fetchone()
        return connection.connection, version
