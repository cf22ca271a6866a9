"""Whether any job has changed since a thread looked last: told in less time than it takes to read the jobs."""

from __future__ import annotations

from django.db import connection

ASKED = {
    "sqlite": "PRAGMA data_version",
    "postgresql": "SELECT sha256(string_agg(tidsend(ctid) || xidsend(xmin), ''::bytea)) FROM cronzimus_job",
}
"""What changes with every commit (SQLite), or with every commit of a change to a job (PostgreSQL).

PostgreSQL never changes a row but writes another version of it: its place and its transaction tell it from all others.
"""


def version() -> tuple[object, ...] | None:
    """Return what stays equal on this thread's connection for as long as the jobs do.

    None inside of a transaction, whose own writes it might not show.
    """
    if connection.in_atomic_block:
        return None
    with connection.cursor() as cursor:
        cursor.execute(ASKED[connection.vendor])
        (told,) = cursor.fetchone()
    # SQLite tells a connection of the commits of others alone; its own are in the number of rows that it changed.
    return connection.connection, told, getattr(connection.connection, "total_changes", None)
