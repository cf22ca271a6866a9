"""Watch the database for changes: LISTEN on PostgreSQL, `PRAGMA data_version` on SQLite."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection

from ...models.scheduler import CHANNEL
from ..inotify import FileWatch, watch_file
from .connection import own_connection

DATA_VERSION_SECONDS = 0.025
"""Time between two reads of SQLite's data version, if the system cannot watch the write-ahead log."""
COMMIT_SECONDS = 0.01
"""Time from a write to the log to the read, in which the transaction is committed, and others join it."""
LOOKS = 4
"""Reads after a write that is not committed yet."""
STOP_CHECK_SECONDS = 0.25
"""Time without a write to the log after which the watcher checks whether it has to stop."""
LISTEN_SECONDS = 1.0
"""Time without a NOTIFY after which the watcher checks whether it has to stop."""


def watch(on_change: Callable[[], None], stopped: threading.Event) -> None:
    """Call `on_change` after every change that another connection commits, until `stopped` is set.

    It is called once at the beginning, because a change may have come before. Raises the errors of the database.
    """
    if connection.vendor == "postgresql":
        _watch_postgresql(on_change, stopped)
    else:
        _watch_sqlite(on_change, stopped)


def _watch_postgresql(on_change: Callable[[], None], stopped: threading.Event) -> None:
    listener = own_connection()
    try:
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        on_change()
        while not stopped.is_set():
            for _ in listener.connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                on_change()
    finally:
        listener.close()


def _watch_sqlite(on_change: Callable[[], None], stopped: threading.Event) -> None:
    watcher = own_connection()
    try:
        watcher.connect()
        watcher.connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # creates the log
        (path,) = watcher.connection.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
        with watch_file(f"{path}-wal") as log:
            changes = _changes(watcher.connection, on_change)
            next(changes)
            while log is None and not stopped.wait(DATA_VERSION_SECONDS):
                next(changes)
            while log is not None and not stopped.is_set():
                _wait_for_commit(log, changes)
    finally:
        watcher.close()


def _changes(watcher: Any, on_change: Callable[[], None]) -> Iterator[bool]:
    """Yield whether another connection has committed since the last read; call `on_change` if it has."""
    seen = None
    while True:
        (version,) = watcher.execute("PRAGMA data_version").fetchone()
        if version != seen:
            on_change()
        yield version != seen
        seen = version


def _wait_for_commit(log: FileWatch, changes: Iterator[bool]) -> None:
    if not log.wait(STOP_CHECK_SECONDS):
        return
    # A transaction is written to the log before it is committed.
    for _ in range(LOOKS):
        log.clear()  # before the read, so that a later write is noticed
        time.sleep(COMMIT_SECONDS)
        if next(changes):
            return
