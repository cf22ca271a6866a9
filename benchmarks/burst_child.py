"""What the processes of a burst have in common: the jobs, the command line, and the word that a scheduler started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.base import BaseScheduler

INTERVAL = timedelta(hours=1)
FUNCTION = "benchmarks.burst_jobs:noop"


@dataclass(frozen=True)
class Due:
    """A job to put in: due within the last minute, for the first and only time until `INTERVAL` is over."""

    id: str
    anchor: datetime
    next_run_time: datetime


def due_jobs(number: int) -> list[Due]:
    """Return `number` jobs; no two intervals count from the same instant, as those that people add do not."""
    last = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
    times = [last - timedelta(seconds=index % 60) for index in range(number)]
    return [
        Due(f"job-{index:06}", anchor=at - INTERVAL * (index // 60 + 1), next_run_time=at)
        for index, at in enumerate(times)
    ]


def main(prepare: Callable[[list[Due]], None], run: Callable[[], Any]) -> None:
    """Do what the command line asks: `prepare NUMBER` or `run PIPE`."""
    action, number = sys.argv[1], int(sys.argv[2])
    if action == "prepare":
        prepare(due_jobs(number))
    else:
        _tell_start(number)
        run()


def _tell_start(pipe: int) -> None:
    """Write the monotonic time at which a scheduler starts to `pipe`: both contenders are APScheduler's."""
    start = BaseScheduler.start

    def told(self: BaseScheduler, *args: Any, **kwargs: Any) -> Any:
        os.write(pipe, repr(time.monotonic()).encode())
        return start(self, *args, **kwargs)

    BaseScheduler.start = told
