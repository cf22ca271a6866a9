"""Wait for writes to a file, where the system can tell of them: inotify(7), on Linux."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress

IN_MODIFY = 0x2
"""The event of inotify(7) of a file that was written to."""
SIZE = 65_536
"""Bytes of events that are read at a time."""


class Writes:
    """The writes to one file, by whichever process on this machine."""

    def __init__(self, descriptor: int) -> None:
        """Read them from an open inotify descriptor."""
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def wait(self, timeout: float) -> bool:
        """Wait for a write, `timeout` seconds at the most; return whether there was one since the last `forget`."""
        return bool(self._poll.poll(timeout * 1000))

    def forget(self) -> None:
        """Forget the writes that there were."""
        with suppress(BlockingIOError):  # there were none
            os.read(self._descriptor, SIZE)


@contextmanager
def writes_to(path: str) -> Iterator[Writes | None]:
    """Provide the writes to the file `path` from now on; None where the system does not tell of them."""
    descriptor = _watch(os.fsencode(path))
    try:
        yield None if descriptor is None else Writes(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _watch(path: bytes) -> int | None:
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
