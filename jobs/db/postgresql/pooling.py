"""Find out whether a pooler between us and PostgreSQL pools transactions."""

from __future__ import annotations

from typing import Any

from django.db import connection

TRIES = 3
"""Attempts to find that a pooler pools transactions."""


def pools_transactions() -> bool:
    """Tell whether each transaction may run on another connection of the server, as with PgBouncer in transaction mode.

    A pooler answers with a process id of its own when a client connects. In transaction mode a second client then gets
    the server's process that the first one has just used, although the first one is still connected.
    """
    if connection.vendor != "postgresql":
        return False
    connection.ensure_connection()
    if _server_process(connection) == connection.connection.info.backend_pid:
        return False
    other = connection.copy()
    try:
        return any(_share_a_server(connection, other) for _ in range(TRIES))
    finally:
        other.close()


def _share_a_server(first: Any, second: Any) -> bool:
    before = _server_process(first)
    second.set_autocommit(False)
    try:
        # `second` first: with a single server connection, `first` would have to wait for the end of the transaction.
        return _server_process(second) == before or _server_process(first) != before
    finally:
        second.rollback()
        second.set_autocommit(True)


def _server_process(used: Any) -> int:
    with used.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
