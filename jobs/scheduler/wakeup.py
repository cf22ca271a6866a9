"""Wake the loop when something changes in the database."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from .store import changes

logger = logging.getLogger("cronzimus.scheduler.wakeup")

RECONNECT_SECONDS = 1.0
"""Time until a lost connection is tried again. Meanwhile the loop looks at the database once a second."""
STOP_SECONDS = 2.0
"""Time that the thread has to end. It is a daemon: one that hangs does not keep the process alive."""


class Bell:
    """The event that the loop waits for: like `threading.Event`, but `wait` clears it.

    `set` may be called from a signal handler: `SimpleQueue.put` is reentrant (Python's documentation of `queue`), an
    event's lock is not.
    """

    def __init__(self) -> None:
        """Start without a ring."""
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """End the current wait, or else the next one."""
        if self._rings.empty():
            self._rings.put(None)

    def is_set(self) -> bool:
        """Tell whether it was set and not cleared."""
        return not self._rings.empty()

    def clear(self) -> None:
        """Undo `set`."""
        try:
            while True:
                self._rings.get_nowait()
        except queue.Empty:
            return

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds until it is set; return whether it was. Clears it."""
        try:
            self._rings.get(timeout=timeout)
        except queue.Empty:
            return False
        return True


class Watcher(threading.Thread):
    """A thread that calls `on_change` after every change in the database, over a connection of its own."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Watch the default database."""
        super().__init__(name="watcher", daemon=True)
        self._on_change = on_change
        self._stopped = threading.Event()

    def run(self) -> None:
        """Watch until `stop`; reconnect when the connection breaks."""
        while not self._stopped.is_set():
            try:
                changes.watch(self._on_change, self._stopped)
            except Exception as error:
                logger.debug("the watcher lost its connection: %s", error, extra={"action": "watcher_lost"})
                self._stopped.wait(RECONNECT_SECONDS)

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join(STOP_SECONDS)
