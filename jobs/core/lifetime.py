"""The end of a process with its parent."""

from __future__ import annotations

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1
"""The option of prctl(2) that has the kernel send a signal to a process when its parent ends, however it ends."""


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process the signal `number` when its parent ends. It does nothing except on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
