"""Keep SQLite from planning the loop's statements by what ANALYZE noted when the tables were small.

SQLite believes its statistics until the next ANALYZE, however much a table grows. Where they say that a table has a few
rows, it reads the whole table for each row of a batch: the work grows with the square of what there is to do. Without
statistics it reads indexes. PostgreSQL looks at the present size of a table; `connection.TUNING` does the rest there.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connection

logger = logging.getLogger("cronzimus.scheduler.store.analysis")

TABLES_SQL = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')"
"""The tables that ANALYZE has made; the second one only where SQLite was built for it."""


class Analysis:
    """The statistics of Cronzimus's tables, as this scheduler's connection has read them."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._without: tuple[Any, int] | None = None

    def forget(self) -> None:
        """Delete the statistics, and have the connection read them no more. Does nothing on other databases.

        Call it at the start, with each heartbeat and outside of a transaction. A connection reads the statistics once,
        and again when the schema has changed; then it is closed here, and its next statement opens it again.
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
        """Return what changes whenever the statistics are read: the driver's connection, and the schema's version."""
        cursor.execute("PRAGMA schema_version")
        (version,) = cursor.fetchone()
        return connection.connection, version
