"""The ends of processes: a whole group at once, and a child with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.01, 0.1
"""Seconds between two checks while a group ends: each pause is twice the one before, up to the longest."""
PR_SET_PDEATHSIG = 1
"""The option of prctl(2) that has the kernel send a signal to a process when its parent ends, however it ends."""


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process the signal `number` when its parent ends. It does nothing except on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def end_group(
    leader: subprocess.Popen[bytes], grace_seconds: float, rest: Callable[[float], object] = time.sleep
) -> None:
    """End the process group of `leader`: SIGTERM, then SIGKILL for processes left after `grace_seconds`.

    `rest` is called with the seconds from one look at the group to the next. `leader` has been reaped when this
    returns.
    """
    signal_group(leader.pid, signal.SIGTERM)
    deadline, pause = time.monotonic() + grace_seconds, FIRST_LOOK_SECONDS
    while _lives(leader) and time.monotonic() < deadline:
        rest(pause)
        pause = min(2 * pause, LONGEST_LOOK_SECONDS)
    signal_group(leader.pid, signal.SIGKILL)
    leader.wait()


def _lives(leader: subprocess.Popen[bytes]) -> bool:
    leader.poll()  # reaps it: a zombie is still a member of its group
    return group_lives(leader.pid)


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a group, if there are any."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def group_lives(group: int) -> bool:
    """Return whether any process of the group still runs. Zombies do not.

    A zombie stays in its group until its parent reaps it, and process 1 of a container may never do so.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _has_only_zombies(group)


def _has_only_zombies(group: int) -> bool:
    # /proc/PID/stat of proc(5). The /proc of another PID namespace has other numbers, so it is of no use.
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return False
        members = [_state_in(group, pid) for pid in os.listdir("/proc") if pid.isdigit()]
    except OSError:
        return False
    return all(state in ("Z", "X", None) for state in members) and any(members)


def _state_in(group: int, pid: str) -> str | None:
    """Return the state of the process `pid` if it belongs to `group`, else None."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything; after it come the state, the parent and the group.
            state, _, its_group = file.read().rpartition(b")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return state.decode() if int(its_group) == group else None
