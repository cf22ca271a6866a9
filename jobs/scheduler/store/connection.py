"""The loop's connection: what the databases are told about its statements."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.signals import connection_created

TUNING = {
    # Who waits longer for a row that somebody else has locked misses its heartbeat.
    "postgresql": ("SET enable_seqscan = off", "SET jit = off", "SET lock_timeout = '3s'"),
    # A batch changes more pages than fit into the 2 MB that are the default (here 8 MB), and each of them many times
    # before it has to be copied from the log to the database (here every 16 MB, in place of 4).
    "sqlite": ("PRAGMA cache_size = -8000", "PRAGMA wal_autocheckpoint = 4000"),
}
"""What the loop's connection says first, by database."""

odd_texts = threading.Event()
"""Set once a text on SQLite was found not to be in UTF-8: the loop reads such too from then on, which takes longer."""


@contextmanager
def tuned_for_the_loop() -> Iterator[None]:
    """Within this context, connections that this thread opens look rows up by index, and wait little for locks.

    All that the loop does are look-ups by index, in batches. Where a table has grown since it was last analysed,
    PostgreSQL would rather read all of it for each batch, so that the work grows with its square.
    """
    thread = threading.current_thread()

    def tune(connection: Any, **kwargs: Any) -> None:
        if threading.current_thread() is thread:
            with connection.cursor() as cursor:
                for statement in TUNING.get(connection.vendor, ()):
                    cursor.execute(statement)
            if connection.vendor == "sqlite" and not odd_texts.is_set():
                connection.connection.text_factory = str  # texts are most of what the loop reads

    connection_created.connect(tune, weak=False)
    try:
        yield
    finally:
        connection_created.disconnect(tune)
