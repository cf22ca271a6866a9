"""Celery with Redis: a worker that has its beat within, as many processes as there are cores, and results kept."""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery, schedules, signals

from benchmarks import child, functions

LONG_AGO = timedelta(days=1)
app = Celery("benchmark", broker=os.environ["DATABASE_URL"], backend=os.environ["BENCH_RESULTS"])
app.conf.broker_connection_retry_on_startup = True
noop = app.task(name="noop")(functions.noop)
stamp = app.task(name="stamp")(functions.stamp)
tell = app.task(name="tell", ignore_result=True)(functions.tell)


@signals.worker_process_shutdown.connect
def hand_over(**_: Any) -> None:
    """Write the records that one of its processes kept in memory."""
    functions.write_starts()


def run(steady: int = 0, burst: int = 0) -> None:
    """Run a worker and a beat: `steady` entries that are due every second, or `burst` that are due once, at once."""
    # Relative schedules fire at whole seconds.
    every_second = schedules.schedule(timedelta(seconds=1), relative=True)
    app.conf.beat_schedule = {
        **{
            f"job-{index:06}": {"task": "stamp", "schedule": every_second, "args": [f"job-{index:06}"]}
            for index in range(steady)
        },
        **{
            f"job-{index:06}": {"task": "noop", "schedule": timedelta(hours=1), "last_run_at": app.now() - LONG_AGO}
            for index in range(burst)
        },
    }
    with tempfile.TemporaryDirectory(prefix="cronzimus-bench-") as directory:
        child.tell("ready")
        # With beat: an embedded one is a process of its own.
        beat = ["--beat", "--schedule", str(Path(directory, "schedule"))] if steady or burst else []
        app.worker_main(["worker", *beat, "--concurrency", str(os.cpu_count()), "--loglevel", "WARNING"])


def client() -> None:
    """Send a task at each request."""
    child.serve(lambda tag: tell.delay(tag))


if __name__ == "__main__":
    child.main({"run": run, "client": client})
