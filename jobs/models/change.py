"""Tell the schedulers that something has changed, so that they need not poll."""

from __future__ import annotations

from django.db import connection

CHANNEL = "cronzimus"
"""The channel of PostgreSQL's NOTIFY."""


def announce() -> None:
    """Wake every scheduler when the current transaction commits, or at once outside of a transaction.

    PostgreSQL delivers a NOTIFY at commit and merges equal ones (its manual, NOTIFY). On SQLite nothing is sent: the
    schedulers watch `PRAGMA data_version`.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
