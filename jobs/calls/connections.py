"""Prepare and tidy a thread's database connections, before and after it calls a function."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import ProgrammingError, close_old_connections, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


class _ThreadState(threading.local):
    """Whether this thread is known to have no connection."""

    has_no_connection = False


_thread = _ThreadState()


def recheck_connections(**_: Any) -> None:
    """Look for this thread's connections at the next call: it may have made one (a receiver of Django's signal).

    The signal is not sent for a connection that broke while it was made.
    """
    _thread.has_no_connection = False


connection_created.connect(recheck_connections, dispatch_uid="cronzimus.calls.connections")


def prepare_connections() -> set[str]:
    """Close this thread's broken and old connections, unless it has a transaction open. Return the aliases with one.

    The threads of a scheduler have none.
    """
    opened = _opened()
    before = _in_transactions(opened)
    if opened and not before:
        close_old_connections()
        reset_queries()
    return before


def tidy_connections(before: set[str]) -> bool:
    """Roll back the transactions that the function left open, except those in `before`; return whether it left any."""
    opened = _opened()
    left_open = _in_transactions(opened) - before
    _abandon(left_open)
    if opened and not before:
        close_old_connections()
    return bool(left_open)


def _opened() -> Sequence[BaseDatabaseWrapper]:
    # A look costs some ten microseconds, a good part of a short run, and is left out until this thread connects.
    if _thread.has_no_connection:
        return []
    opened = connections.all(initialized_only=True)
    _thread.has_no_connection = not any(connection.connection or connection.in_atomic_block for connection in opened)
    return opened


def _in_transactions(opened: Iterable[BaseDatabaseWrapper]) -> set[str]:
    return {connection.alias for connection in opened if connection.in_atomic_block or _has_begun(connection)}


def _has_begun(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the database has a transaction open. Django does not know of a BEGIN that was sent as SQL."""
    raw = connection.connection
    if raw is None:
        return False
    if connection.vendor == "postgresql":
        return raw.info.transaction_status.name in ("ACTIVE", "INTRANS", "INERROR")
    try:
        with connection.wrap_database_errors:
            return bool(raw.in_transaction)
    except ProgrammingError:  # closed behind Django's back
        return False


def _abandon(aliases: Iterable[str]) -> None:
    # An open transaction would keep its locks, and swallow the writes of later runs in this thread. Django offers no
    # other way to leave one from outside.
    for alias in aliases:
        connections[alias].close()
        del connections[alias]
