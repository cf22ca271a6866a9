"""The backend: Django looks for its `DatabaseWrapper` here."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db.backends.sqlite3 import base

from .operations import DatabaseOperations, decoded

LOCK_RETRY_SECONDS = 0.001
"""The time between two attempts to get the lock."""
TIMEOUT_SECONDS = 5.0
"""The time that Python's driver waits for a lock without the option `timeout`."""


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions all have the same chance of getting SQLite's one lock."""

    ops_class = DatabaseOperations
    transaction_mode: str | None

    def get_new_connection(self, conn_params: Any) -> Any:
        """Return a connection of the driver. It reads invalid UTF-8; only its user can read a new file."""
        if not str(conn_params["database"]).startswith((":", "file:")):
            with suppress(OSError):
                os.close(os.open(conn_params["database"], os.O_CREAT | os.O_EXCL, 0o600))
        connection = super().get_new_connection(conn_params)
        connection.text_factory = decoded
        return connection

    def _start_transaction_under_autocommit(self) -> None:
        """Begin a transaction, in the mode IMMEDIATE with the lock at once.

        SQLite itself looks for the lock at ever longer intervals, up to a tenth of a second: among busy writers, the
        longest waiting would be the last to get it (sqliteDefaultBusyCallback in SQLite's main.c).
        Raises `OperationalError` after the seconds of the option `timeout`.
        """
        timeout = self.settings_dict["OPTIONS"].get("timeout", TIMEOUT_SECONDS)
        deadline = time.monotonic() + timeout
        with self.wrap_database_errors, self._without_waiting(timeout):
            while not self._try_to_begin(time.monotonic() >= deadline):
                time.sleep(LOCK_RETRY_SECONDS)

    @contextmanager
    def _without_waiting(self, timeout: float) -> Iterator[None]:
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")

    def _try_to_begin(self, is_last: bool) -> bool:
        try:
            self.connection.execute(f"BEGIN {self.transaction_mode or ''}")
        except sqlite3.OperationalError as error:
            if is_last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the lowest byte has the kind of error
                raise
            return False
        return True
