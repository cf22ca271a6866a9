"""Code that all measured processes share: the jobs, the command line, and the messages to the harness."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import functions

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """An interval job to put in, with its next fire time."""

    id: str
    anchor: datetime
    next_run_time: datetime
    interval: timedelta = HOUR

    @property
    def seconds(self) -> int:
        """The interval in seconds."""
        return int(self.interval.total_seconds())


def due_jobs(number: int, at: float | None = None) -> list[Due]:
    """Return `number` hourly jobs, all due at the instant `at` (whole seconds of Unix time; None: by now, in a minute).

    No two intervals count from the same instant, as those that people add do not.
    """
    last = datetime.now(UTC).replace(microsecond=0) - SECOND if at is None else datetime.fromtimestamp(at, UTC)
    times = [last - SECOND * (index % 60 if at is None else 0) for index in range(number)]
    return [
        Due(f"job-{index:06}", anchor=time - HOUR * (index // 60 + 1), next_run_time=time)
        for index, time in enumerate(times)
    ]


def steady_jobs(number: int, *, apart: bool = False) -> list[Due]:
    """Return `number` jobs that fire every second from now on: all at the whole second, or one after the other."""
    now = datetime.now(UTC).replace(microsecond=0)
    anchors = [now + SECOND * index / number if apart else now for index in range(number)]
    return [
        Due(f"job-{index:06}", anchor=anchor, next_run_time=anchor + SECOND, interval=SECOND)
        for index, anchor in enumerate(anchors)
    ]


def idle_jobs(number: int, due: bool) -> list[Due]:
    """Return `number` jobs that are due in a day and later; with `due`, the first one every second, from now on."""
    now = datetime.now(UTC).replace(microsecond=0)
    jobs = [
        Due(f"job-{index:06}", anchor=now, next_run_time=now + DAY + SECOND * index, interval=2 * DAY)
        for index in range(number)
    ]
    return [Due(jobs[0].id, anchor=now, next_run_time=now, interval=SECOND), *jobs[1:]] if due else jobs


def tell(word: str) -> None:
    """Tell the harness that `word` holds from now on: `ready`, the scheduler is being started; `done`, all has run."""
    os.write(int(os.environ["BENCH_PIPE"]), f"{word} {time.monotonic()!r}\n".encode())


def set_up_site() -> None:
    """Set up Django with the product's settings, the functions of the benchmarks, no job, and an open API."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
        "JOB_MODULES": "benchmarks.contenders.cronzimus_functions",
        "JOBS": "[]", "API_AUTH": "none", "ALLOWED_HOSTS": "testserver",
    }  # fmt: skip
    import django

    django.setup()


def main(actions: Mapping[str, Callable[..., Any]]) -> None:
    """Do the action of the command line: its name, and its arguments as a JSON object."""
    actions[sys.argv[1]](**json.loads(sys.argv[2]))


def tell_start_of(scheduler: type) -> None:
    """Make the method `start` of an APScheduler class tell the harness first."""
    start = scheduler.start

    def told(self: Any, *args: Any, **kwargs: Any) -> Any:
        tell("ready")
        return start(self, *args, **kwargs)

    scheduler.start = told


def end_on_signal() -> None:
    """End this process at SIGTERM, after it has handed over its data, without waiting for its threads."""

    def end(number: int, frame: Any) -> None:
        functions.write_starts()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def serve_web(application: str, port: int) -> None:
    """Become gunicorn with one worker that serves `application`, as `manage.py up` does."""
    os.execv(  # noqa: S606
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "4", "--bind", f"127.0.0.1:{port}",
            application,
        ],
    )  # fmt: skip


def serve(add: Callable[[str], Any]) -> None:
    """Call `add` with each tag that the harness asks for, and tell when that began and ended."""
    tell("ready")
    for line in sys.stdin:
        tag, before = line.strip(), time.monotonic()
        add(tag)
        os.write(int(os.environ["BENCH_PIPE"]), f"added {tag} {before!r} {time.monotonic()!r}\n".encode())
