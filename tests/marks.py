"""Marks that functions leave outside the database when they are called."""

from __future__ import annotations

import os
import time

from jobs import RunContext


def leave_mark(path: str, context: RunContext) -> None:
    """Append the line `job scheduled_time monotonic pid clock attempt` to the file `path`."""
    times = f"{context.scheduled_time.isoformat()} {time.monotonic()} {os.getpid()} {time.time()}"
    line = f"{context.job_id} {times} {context.attempt}\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())  # one write with O_APPEND: lines of several processes do not mix
    finally:
        os.close(descriptor)
