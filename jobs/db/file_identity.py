"""Notice that SQLite's file, or its log, was replaced, deleted or overwritten under an open connection.

Writes to a file that is gone would be lost, and in one that was overwritten, old pages and new ones would mix. The log
(`-wal`) holds what was written of late. SQLite deletes it when the last connection is closed, and never before.

A file that `cp` overwrites keeps its inode. Two other signs tell that not only SQLite has written to it
(https://www.sqlite.org/fileformat.html and https://www.sqlite.org/walformat.html):

- the change counter in its header goes back,
- its content has changed although no page was copied into it from its log, as the log's index (`-shm`) says.
"""

from __future__ import annotations

import logging
import os
import threading
import zlib
from dataclasses import dataclass, replace
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.db.backends.signals import connection_created

logger = logging.getLogger("cronzimus.database")

OVERWRITTEN = (
    "the database file %s was overwritten while it was in use, and may be damaged: stop all processes, "
    "delete its -wal and its -shm, and restore the backup again"
)
MAGIC = b"SQLite format 3\0"
"""The first bytes of a file of SQLite."""
COUNTER = slice(24, 28)
"""The change counter in the header of a file."""
SALTS, COPIED, TO_COPY = slice(32, 40), slice(96, 100), slice(128, 132)
"""In the index of a log: what tells this log from later ones; how many of its frames have been copied into the file;
and how many will be, which is written before they are copied."""
SAMPLES, SAMPLE_BYTES = 32, 4096
"""How many parts of a file are compared, and the size of each."""

_descriptors: dict[tuple[int, int], int] = {}
_reading = threading.Lock()


def watch_files() -> None:
    """Make each connection remember its file, and each request close connections to files that are not current."""
    connection_created.connect(_remember, dispatch_uid=__name__)
    request_started.connect(_leave_old_files, dispatch_uid=__name__)


def is_current(connection: Any) -> bool:
    """Tell whether a connection's file and its log are still those that it opened. True for other databases."""
    return not (is_gone(connection) or is_overwritten(connection))


def is_gone(connection: Any) -> bool:
    """Tell whether the file of a connection, or its log, was replaced or deleted. False for other databases."""
    file = _opened_file(connection)
    return file is not None and file.is_gone()


def is_overwritten(connection: Any) -> bool:
    """Tell whether something else than SQLite has written to the file of a connection. False for other databases."""
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

    def __init__(self, path: Any, identity: tuple[int, int]) -> None:
        """Watch the file `path`, which is `identity`."""
        self._path = path
        self._identity = identity
        self._log: tuple[int, int] | None = None
        self._counter = self._change_counter()
        self._last_seen: _Seen | None = None

    def is_gone(self) -> bool:
        """Tell whether the file, or its log, was replaced or deleted."""
        log = f"{self._path}-wal"
        # A connection opens the log when it first reads, so that the log is known from the first question on.
        self._log = self._log or _identity(log)
        return self._identity != _identity(self._path) or self._log != _identity(log)

    def is_overwritten(self) -> bool:
        """Tell whether something else than SQLite has written to the file since the last question."""
        counter, before = self._change_counter(), self._counter
        self._counter = counter
        return counter < before or self._is_written_without_log()

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
        try:
            written_at = os.stat(self._path).st_mtime_ns
        except OSError:
            return None
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

    def _change_counter(self) -> int:
        """Return the change counter; -1 if the file has no header, as a new one."""
        header = _read(self._path, self._identity, COUNTER.stop)
        return int.from_bytes(header[COUNTER]) if header.startswith(MAGIC) and len(header) == COUNTER.stop else -1


def _opened_file(connection: Any) -> OpenedFile | None:
    file: OpenedFile | None = vars(connection).get("opened_file")
    return file if connection.connection is not None else None


def _remember(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        path = connection.settings_dict["NAME"]
        identity = _identity(path)
        vars(connection)["opened_file"] = None if identity is None else OpenedFile(path, identity)


def _leave_old_files(sender: Any, **kwargs: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is None or connection.in_atomic_block:
            continue
        if is_gone(connection):
            connection.close()
        elif is_overwritten(connection):
            logger.error(OVERWRITTEN, connection.settings_dict["NAME"])
            connection.close()


def _identity(path: Any) -> tuple[int, int] | None:
    """Return the device and the inode of a file, or None without one."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _read(path: Any, identity: tuple[int, int] | None, size: int, start: int = 0) -> bytes:
    """Return `size` bytes of the file `path`, which is `identity`; fewer if it is shorter or not there."""
    if identity is None:
        return b""
    try:
        with _reading:
            if identity not in _descriptors:
                _close_deleted()
                _descriptors[identity] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(_descriptors[identity], size, start)
    except OSError:
        return b""


def _close_deleted() -> None:
    """Close the descriptors of files that are deleted.

    Others stay open: a process that closes any descriptor of a file loses the locks that SQLite holds on it.
    """
    for identity, descriptor in [*_descriptors.items()]:
        if os.fstat(descriptor).st_nlink == 0:
            os.close(descriptor)
            del _descriptors[identity]
