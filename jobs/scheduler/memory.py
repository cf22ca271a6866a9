"""The memory of this process."""

from __future__ import annotations

import os
from pathlib import Path

STATM = Path("/proc/self/statm")
"""Linux: the sizes of this process in pages. The second one is its resident memory (proc_pid_statm(5))."""


def resident_memory() -> int | None:
    """Return the bytes of memory that this process holds, without its child processes; None if that is not known."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # not Linux, or /proc is not mounted
        return None
