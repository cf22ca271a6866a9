"""Wake the loop when something changes in the database: NOTIFY on PostgreSQL, `PRAGMA data_version` on SQLite."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from django.db import connection

from ..models.change import CHANNEL
from .inotify import Writes, writes_to

if TYPE_CHECKING:
    import sqlite3

logger = logging.getLogger("cronzimus.scheduler.wakeup")

LOOK = 0.025
"""Seconds between two looks at SQLite's data version, where the system does not tell of writes to its log."""
FOLD = 0.01
"""Seconds after a write to that log until the look: by then it is committed, and others are seen together with it."""
LOOKS = 4
"""So often a write is looked for that is not seen yet."""
QUIET = 0.25
"""Seconds without a write after which the watcher looks whether it is to end."""
RETRY = 1.0
"""Seconds until a lost connection is tried again. The loop looks for itself once a second meanwhile."""


class Bell:
    """What the loop waits on: the interface of `threading.Event`, on a queue.

    `set` may be called from a signal handler: `SimpleQueue.put` is reentrant (Python's documentation of `queue`),
    which an event's lock is not.
    """

    def __init__(self) -> None:
        """Start silent."""
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """End the wait that is going on, or else the next one."""
        if self._rings.empty():
            self._rings.put(None)

    def is_set(self) -> bool:
        """Return whether it was rung and not yet cleared."""
        return not self._rings.empty()

    def clear(self) -> None:
        """Forget that it was rung."""
        try:
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is rung, `timeout` seconds at most; return whether it was. Clears it."""
        try:
            self._rings.get(timeout=timeout)
        except queue.Empty:
            return False
        return True


class Watcher(threading.Thread):
    """A thread with a connection of its own that calls `wake_up` at each change."""

    def __init__(self, wake_up: Callable[[], None]) -> None:
        """Watch the database that Django's default connection is for."""
        super().__init__(name="watcher", daemon=True)
        self._wake_up = wake_up
        self._stopped = threading.Event()
        self._watch = _watch_postgresql if connection.vendor == "postgresql" else _watch_sqlite
        self._parameters = _parameters()

    def run(self) -> None:
        """Watch until `stop`; a connection that breaks is made anew."""
        while not self._stopped.is_set():
            try:
                self._watch(self._parameters, self._wake_up, self._stopped)
            except Exception as error:
                logger.debug("the watcher lost its connection: %s", error, extra={"action": "watcher_lost"})
                self._stopped.wait(RETRY)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(timeout=2)


def _parameters() -> dict[str, Any]:
    return {"database": connection.settings_dict["NAME"]} if connection.vendor == "sqlite" else _postgresql_parameters()


def _postgresql_parameters() -> dict[str, Any]:
    from psycopg.pq import Conninfo

    # Django's own options (a pool, a cursor's class, …) go: what is left are libpq's parameters.
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    return {name: value for name, value in connection.get_connection_params().items() if name in known}


def _watch_sqlite(parameters: dict[str, Any], wake_up: Callable[[], None], stop: threading.Event) -> None:
    import sqlite3  # here, as psycopg below: a scheduler loads the one of the two that it needs

    path = str(parameters["database"])
    watched = sqlite3.connect(path, uri=path.startswith("file:"), isolation_level=None)
    try:
        watched.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # from here on the log exists
        with writes_to(f"{path}-wal") as writes:
            version = _versions(watched, wake_up)
            next(version)
            while writes is None and not stop.wait(LOOK):
                next(version)
            while writes is not None and not stop.is_set():
                _after_a_write(writes, version)
    finally:
        watched.close()


def _versions(watched: sqlite3.Connection, wake_up: Callable[[], None]) -> Iterator[bool]:
    """Yield whether another connection has committed since the last time; wake up if so."""
    seen = None
    while True:
        # (SQLite's documentation, PRAGMA data_version)
        (version,) = watched.execute("PRAGMA data_version").fetchone()
        if version != seen:
            wake_up()
        yield version != seen
        seen = version


def _after_a_write(writes: Writes, version: Iterator[bool]) -> None:
    """Wait for a write, and look until it is seen: it is in the log before it is committed."""
    if not writes.wait(QUIET):
        return
    for _ in range(LOOKS):
        writes.forget()  # before the look: what is written after it is looked for again
        time.sleep(FOLD)
        if next(version):
            return


def _watch_postgresql(parameters: dict[str, Any], wake_up: Callable[[], None], stop: threading.Event) -> None:
    import psycopg

    with psycopg.connect(**parameters, autocommit=True) as watched:
        watched.execute(f"LISTEN {CHANNEL}")
        wake_up()  # whatever was announced while nobody listened
        while not stop.is_set():
            for _ in watched.notifies(timeout=1.0, stop_after=1):
                wake_up()
