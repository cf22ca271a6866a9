"""The connections of the scheduler itself: outside of any pool, and with tuning for the loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ...db.file_identity import OVERWRITTEN, is_gone, is_overwritten

POSTGRESQL_DEFAULTS = {
    "connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}  # fmt: skip
"""Default options of libpq, which notice that a server is gone without a word. The project may set its own."""
TUNING = {
    "postgresql": (
        # The loop only looks up rows by index, in batches. If a table has grown since it was last analysed, PostgreSQL
        # would read all of it for each batch.
        "SET enable_seqscan = off",
        # The estimated cost of such a plan is high, and compiling it takes longer than to execute it.
        "SET jit = off",
        # A longer wait for another's lock would cost a heartbeat.
        "SET lock_timeout = '3s'",
        # Schedulers pass by rows that others have locked, and count what others have committed since; stricter levels
        # do not show them that.
        "SET default_transaction_isolation = 'read committed'",
    ),
    # A batch changes more pages than fit into the default cache of 2 MB (here 8 MB), and changes each many times
    # before the log has to be copied to the database (here every 16 MB instead of 4).
    "sqlite": ("PRAGMA cache_size = -8000", "PRAGMA wal_autocheckpoint = 4000"),
}
"""The first statements of the loop's connection, by database."""

invalid_utf8_seen = threading.Event()
"""Set after a text on SQLite was not valid UTF-8. The loop then decodes all texts itself, which is slower."""

_decode = partial(str, encoding="utf-8", errors="replace")


class DatabaseReplaced(Exception):
    """SQLite's file was replaced, deleted or overwritten: this scheduler would lose or damage what it writes."""


def require_current_file() -> None:
    """Raise `DatabaseReplaced` if SQLite's file is no longer the one that the loop's connection has opened."""
    own = connections[DEFAULT_DB_ALIAS]
    path = own.settings_dict["NAME"]
    if is_gone(own):
        raise DatabaseReplaced(f"the database file {path}, or its -wal, was replaced or deleted: start again")
    if is_overwritten(own):
        raise DatabaseReplaced(OVERWRITTEN % path)


def own_connection() -> BaseDatabaseWrapper:
    """Return a new connection to the default database, which never comes from a connection pool.

    Functions that use up a pool must not keep the loop from its heartbeat, and a connection that listens for changes
    is never free for others.
    """
    own = connections[DEFAULT_DB_ALIAS].copy()
    options: dict[str, Any] = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if own.vendor == "postgresql":
        # Django begins each transaction with the project's level, whatever the connection's default is.
        options.pop("isolation_level", None)
        own.settings_dict["OPTIONS"] = POSTGRESQL_DEFAULTS | options
    return own


@contextmanager
def dedicated_connection() -> Iterator[BaseDatabaseWrapper]:
    """Make one of the scheduler's own connections this thread's default within the context, and give it."""
    before = connections[DEFAULT_DB_ALIAS]
    before.close()
    own = connections[DEFAULT_DB_ALIAS] = own_connection()
    try:
        yield own
    finally:
        own.close()
        connections[DEFAULT_DB_ALIAS] = before


@contextmanager
def loop_connection() -> Iterator[None]:
    """Make a connection tuned for the loop this thread's default within the context."""
    with dedicated_connection() as own:

        def tune(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
            if connection is own:
                _tune(own)

        connection_created.connect(tune, weak=False)
        try:
            yield
        finally:
            connection_created.disconnect(tune)


def _tune(own: BaseDatabaseWrapper) -> None:
    with own.cursor() as cursor:
        for statement in TUNING.get(own.vendor, ()):
            cursor.execute(statement)
    if own.vendor == "sqlite":
        # Texts are most of what the loop reads, and the driver's own decoding is the fastest.
        own.connection.text_factory = _decode if invalid_utf8_seen.is_set() else str
