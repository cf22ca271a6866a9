"""Shared memory in which a child notes the run whose function it calls.

Its parent can read it after the child has died. A message would wake the parent once more for each run, and would get
lost if a thread that was left behind has closed the descriptor.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from struct import Struct

_RUN_ID = Struct("q")


class CallNote:
    """The id of the run whose function was called last, or is being called; 0 before the first."""

    def __init__(self, descriptor: int) -> None:
        """Share the memory behind `descriptor`, which may be closed afterwards. Raises `OSError`."""
        self._memory = mmap.mmap(descriptor, _RUN_ID.size)

    @property
    def run_id(self) -> int:
        """The run's id."""
        run_id: int = _RUN_ID.unpack_from(self._memory)[0]
        return run_id

    def write(self, run_id: int) -> None:
        """Note that the function of the run `run_id` is called next."""
        _RUN_ID.pack_into(self._memory, 0, run_id)

    def close(self) -> None:
        """Give the memory up."""
        self._memory.close()


def open_memory() -> int:
    """Return the descriptor of new memory for a note. Raises `OSError`."""
    if hasattr(os, "memfd_create"):  # Linux
        descriptor = os.memfd_create("cronzimus")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _RUN_ID.size)
    return descriptor
