"""The functions of the idle jobs; JOB_MODULES names this module."""

from __future__ import annotations

import os
import time

from jobs.registry import register


def mark() -> None:
    """Write the monotonic time of the call to the file that the benchmark names."""
    with open(os.environ["IDLE_MARKS"], "a") as marks:
        marks.write(f"{time.monotonic()}\n")


register(mark)
