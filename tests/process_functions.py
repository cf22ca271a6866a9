"""Functions that only a process of their own survives, each known as "tests:<name>"; and what tells who ran them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs.registry import RunContext, register


@register("tests:pid")
def pid() -> int:
    """Return the process that runs it."""
    return os.getpid()


@register("tests:noisy")
def noisy(context: RunContext) -> dict[str, int]:
    """Write in every way there is, and return something."""
    print("printed")
    print("printed as an error", file=sys.stderr)
    context.logger.info("logged")
    sys.stdout.flush()
    subprocess.run(["echo", "from a child"], check=True)
    os.write(1, b"from the descriptor\n")
    context.progress(3, 4)
    return {"answer": 42}


@register("tests:stubborn")
def stubborn(path: str) -> None:
    """Leave its process's id in `path`, ignore SIGTERM, and never end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("never ends")
    leave(path, os.getpid())
    while True:
        time.sleep(1)


@register("tests:family")
def family(path: str) -> None:
    """Leave its own and its children's process ids in `path`, and never end."""
    child = subprocess.Popen(["sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    leave(path, os.getpid(), child.pid, int(child.stdout.readline()))
    time.sleep(300)


@register("tests:daemon")
def daemon(path: str) -> None:
    """Leave behind a process in a session of its own, which holds on to the output; and never end."""
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    leave(path, child.pid)
    time.sleep(300)


@register("tests:exit")
def leave_at_once(status: int) -> None:
    """End the process."""
    print("leaving")
    os._exit(status)


@register("tests:segfault")
def segfault() -> None:
    """Read where nothing is."""
    ctypes.string_at(0)


def leave(path: str, *pids: int) -> None:
    """Write process ids to `path`, whole or not at all."""
    part = Path(f"{path}.part")
    part.write_text(" ".join(map(str, pids)))
    part.rename(path)
