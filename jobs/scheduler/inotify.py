"""Wait for writes to a file with inotify(7), on Linux."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress

IN_MODIFY = 0x2
"""The event of a write to a file."""
READ_BYTES = 65_536
"""Bytes of events read at a time."""


class FileWatch:
    """Notices writes to one file by any process on this machine."""

    def __init__(self, descriptor: int) -> None:
        """Read the events of an open inotify descriptor."""
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for a write; return whether there was one since the last `clear`."""
        return bool(self._poll.poll(timeout * 1000))

    def clear(self) -> None:
        """Forget the writes so far."""
        with suppress(BlockingIOError):  # there were none
            os.read(self._descriptor, READ_BYTES)


@contextmanager
def watch_file(path: str) -> Iterator[FileWatch | None]:
    """Watch the file `path` within this context; gives None if the system cannot, or there is no such file."""
    descriptor = _open_watch(os.fsencode(path))
    try:
        yield None if descriptor is None else FileWatch(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_watch(path: bytes) -> int | None:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "inotify_init1"):
        return None
    descriptor: int = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        return None
    if library.inotify_add_watch(descriptor, path, ctypes.c_uint32(IN_MODIFY)) < 0:
        os.close(descriptor)
        return None
    return descriptor
