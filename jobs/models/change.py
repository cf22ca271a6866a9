"""Tell the schedulers that something changed, so that none has to poll for it."""

from __future__ import annotations

from django.db import connection

CHANNEL = "cronzimus"
"""The channel of NOTIFY on which changes are told."""


def announce() -> None:
    """Wake every scheduler when the current transaction commits, or at once outside of one.

    PostgreSQL delivers a NOTIFY at commit and folds equal ones (its manual, NOTIFY). SQLite needs no word: the
    schedulers watch `PRAGMA data_version`.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
