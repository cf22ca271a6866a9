"""The loop's connection: what the planner of PostgreSQL is told about its statements."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.signals import connection_created


@contextmanager
def tuned_for_the_loop() -> Iterator[None]:
    """Within this context, connections that this thread opens look rows up by index, and compile nothing.

    All that the loop does are look-ups by index, in batches. Where a table has grown since it was last analysed,
    PostgreSQL would rather read all of it for each batch, so that the work grows with its square.
    """
    thread = threading.current_thread()

    def tune(connection: Any, **kwargs: Any) -> None:
        if connection.vendor == "postgresql" and threading.current_thread() is thread:
            with connection.cursor() as cursor:
                cursor.execute("SET enable_seqscan = off; SET jit = off")

    connection_created.connect(tune, weak=False)
    try:
        yield
    finally:
        connection_created.disconnect(tune)
