"""Notice that SQLite's file, or its log, was replaced, deleted or overwritten under an open connection.

Writes to a file that is gone would be lost, and in one that was overwritten, old pages and new ones would mix. The log
(`-wal`) holds what was written of late. SQLite deletes it when the last connection that has opened it is closed.

A file that `cp` overwrites keeps its inode. Its content then differs although no page was copied into it from its log,
as the log's index (`-shm`) says (https://www.sqlite.org/walformat.html). Without a log there is no sign: the header's
change counter goes back when an interrupted transaction is rolled back, too.

What cannot be read shows nothing: a false alarm is worse than a missed one, because it ends a scheduler.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.db.backends.signals import connection_created

OVERWRITTEN = (
    "the database file %s was overwritten while it was in use, and may be damaged: stop all processes, "
    "delete its -wal and its -shm, and restore the backup again"
)
SALTS, COPIED, TO_COPY = slice(32, 40), slice(96, 100), slice(128, 132)
"""In the index of a log: what tells this log from later ones; how many of its frames have been copied into the file;
and how many will be, which is written before they are copied."""
SAMPLES, SAMPLE_BYTES = 32, 4096
"""How many parts of a file are compared, and the size of each."""

_descriptors: dict[tuple[int, int], int] = {}
_reading = threading.Lock()


def watch_files() -> None:
    """Make each connection remember its file, and each request close connections to files that are gone."""
    connection_created.connect(_remember, dispatch_uid=__name__)
    request_started.connect(_leave_files_that_are_gone, dispatch_uid=__name__)


def is_gone(connection: Any) -> bool:
    """Tell whether the file of a connection, or its log, was replaced or deleted. False for other databases."""
    file = _opened_file(connection)
    return file is not None and file.is_gone()


def is_overwritten(connection: Any) -> bool:
    """Tell whether something else than SQLite has written to the file since the last question.

    False for other databases, and for files without a log.
    """
    file = _opened_file(connection)
    return file is not None and file.is_overwritten()


@dataclass(frozen=True, slots=True)
class _Seen:
    """When a file was written, the state of its log's index, and a checksum of parts of it."""

    written_at: int
    index: bytes
    sample: int = 0


class OpenedFile:
    """The file of a connection, as it was when it was last looked at."""

    def __init__(self, path: str, identity: tuple[int, int], driver: Any) -> None:
        """Watch the file `path`, which is `identity`, and which the driver's connection `driver` has opened."""
        self.driver = driver
        self._path = path
        self._identity = identity
        self._log: tuple[int, int] | None = None
        self._last_seen: _Seen | None = None

    def is_gone(self) -> bool:
        """Tell whether the file, or its log, was replaced or deleted."""
        try:
            return _identity(self._path) != self._identity or self._log_is_gone()
        except OSError:
            return False

    def is_overwritten(self) -> bool:
        """Tell whether something else than SQLite has written to the file since the last question."""
        try:
            return self._log is not None and self._is_written_without_log()
        except OSError:
            return False

    def _log_is_gone(self) -> bool:
        log = _identity(f"{self._path}-wal")
        if self._log is None and self._has_log():
            # Looked at again: from now on, nobody else deletes it.
            self._log = log = _identity(f"{self._path}-wal")
        return log != self._log is not None and self._has_log()

    def _has_log(self) -> bool:
        """Tell whether this connection has opened the log. The log of others may be deleted at any time."""
        try:
            return bool(self.driver.execute("PRAGMA journal_mode").fetchone() == ("wal",))
        except sqlite3.Error:
            return False

    def _is_written_without_log(self) -> bool:
        seen, before = self._seen(), self._last_seen
        if seen is None:
            return False
        # Most looks end here. A time alone may change: `touch`, and file systems that tell it late.
        if before is not None and (seen.index, seen.written_at) == (before.index, before.written_at):
            return False
        seen = replace(seen, sample=self._sample())
        if self._seen() != replace(seen, sample=0):
            return False
        self._last_seen = seen
        return before is not None and before.index == seen.index and before.sample != seen.sample

    def _seen(self) -> _Seen | None:
        """Return what can be seen of the file; None without a log, or while frames are copied."""
        index = f"{self._path}-shm"
        written_at = os.stat(self._path).st_mtime_ns
        state = _read(index, _identity(index), TO_COPY.stop)
        if len(state) < TO_COPY.stop or state[COPIED] != state[TO_COPY]:
            return None
        return _Seen(written_at, state[SALTS] + state[COPIED])

    def _sample(self) -> int:
        """Return a checksum of parts of the file, the first one and others spread over it."""
        size = os.stat(self._path).st_size
        checksum = size
        for start in range(0, size, max(size // SAMPLES, SAMPLE_BYTES)):
            checksum = zlib.crc32(_read(self._path, self._identity, SAMPLE_BYTES, start), checksum)
        return checksum


def _opened_file(connection: Any) -> OpenedFile | None:
    file: OpenedFile | None = vars(connection).get("opened_file")
    # One that could not be prepared is not remembered.
    return file if file is not None and file.driver is connection.connection else None


def _remember(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor != "sqlite":
        return
    vars(connection)["opened_file"] = None
    path = connection.settings_dict["NAME"]
    with suppress(OSError, TypeError, ValueError):  # a database in memory, or a URI
        if (identity := _identity(path)) is not None:
            # Absolute: a function may change the current folder.
            vars(connection)["opened_file"] = OpenedFile(os.path.abspath(path), identity, connection.connection)


def _leave_files_that_are_gone(sender: Any, **kwargs: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.in_atomic_block and is_gone(connection):
            connection.close()


def _identity(path: Any) -> tuple[int, int] | None:
    """Return the device and the inode of a file, or None without one. Raises `OSError` if that cannot be told."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _read(path: str, identity: tuple[int, int] | None, size: int, start: int = 0) -> bytes:
    """Return `size` bytes of the file `path`, which is `identity`; fewer if it is shorter or not there.

    Raises `OSError` if it cannot be read.
    """
    if identity is None:
        return b""
    with _reading:
        if identity not in _descriptors:
            _close_deleted()
            _descriptors[identity] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(_descriptors[identity], size, start)


def _close_deleted() -> None:
    """Close the descriptors of files that are deleted.

    Others stay open: a process that closes any descriptor of a file loses the locks that SQLite holds on it.
    """
    for identity, descriptor in [*_descriptors.items()]:
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            del _descriptors[identity]
