"""Soak: a modest load for half an hour. What does the scheduler's process hold on to?

Every second some thirty runs in threads and two in processes; every few seconds some that fail and are retried; every
minute one that hangs and is stopped; every two seconds a new job that runs once, so that nothing may be kept for each
job. A scheduler on each database, side by side. Memory (resident), file descriptors and threads are read every ten
seconds, and the growth per hour is that of the line with the least squares through what came after the warm-up.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import KINDS, Database, Unavailable

LOOK = 10.0
"""Seconds between two readings."""
NEW_JOB = 2.0
"""Seconds between two new jobs."""
WARM_UP = 1 / 6
"""The share of the time that does not count."""
LINES = 12
"""How many of the readings are printed."""
GROWTH = ("rss_mib", "workers_mib", "fds", "threads")


@dataclass(frozen=True)
class Reading:
    """The resources of a scheduler, so many seconds after its start; `workers_mib` is the memory of its processes."""

    database: str
    seconds: float
    rss_mib: float
    workers_mib: float
    fds: int
    threads: int
    runs: int


class Soaked:
    """A scheduler under load, with the process that adds jobs to it."""

    def __init__(self, database: Database, stack: ExitStack) -> None:
        """Start both; they end with `stack`."""
        harness.call(harness.CRONZIMUS, database, "prepare-soak")
        self.database = database
        self.readings: list[Reading] = []
        self._scheduler = stack.enter_context(harness.running("cronzimus", database, "run", endless=True))
        self._scheduler.wait_for("ready")
        self._client = stack.enter_context(harness.running("cronzimus", database, "client", endless=True))
        self._client.wait_for("ready")
        self._started_at = time.monotonic()

    def add_job(self, number: int) -> None:
        """Add a job that is due now, once."""
        self._client.ask(str(number))
        if self._client.line(harness.START) is None:
            raise harness.Failed(f"no job could be added:\n{self._client.log()}")
        self._scheduler.check()
        # Its functions tell when they start, and would wait for the pipe to be read.
        while self._scheduler.line(0) is not None:
            continue

    def read(self) -> None:
        """Take a reading."""
        process = harness.process_tools().Process(self._scheduler.pid)
        workers = sum(worker.memory_info().rss for worker in process.children(recursive=True) if worker.is_running())
        self.readings.append(
            Reading(
                self.database.kind, time.monotonic() - self._started_at,
                process.memory_info().rss / 2**20, workers / 2**20, process.num_fds(), process.num_threads(),
                self.database.count("SELECT coalesce(max(id), 0) FROM cronzimus_run"),
            )
        )  # fmt: skip

    def ends(self) -> dict[str, int]:
        """Return the number of stored runs by status."""
        with self.database.connected() as connection:
            rows = connection.execute("SELECT status, count(*) FROM cronzimus_run GROUP BY status ORDER BY status")
            return dict(rows.fetchall())


def main() -> None:
    """Soak, and print the readings, the growth, and the statuses of runs."""
    options = _options()
    with ExitStack() as stack:
        soaked = []
        for kind in options.databases:
            try:
                soaked.append(Soaked(stack.enter_context(KINDS[kind]()), stack))
            except Unavailable as reason:
                print(f"{kind}: skipped: {reason}", file=sys.stderr)
        _soak(soaked, options.minutes * 60)
        ends = {each.database.kind: each.ends() for each in soaked}
    for each in soaked:
        print(f"\n{each.database.kind}: {ends[each.database.kind]}\n\n{_table(each.readings)}")
    print(f"\nGrowth per hour, after the first {WARM_UP:.0%}:\n\n{_growth([each.readings for each in soaked])}")
    if options.json:
        readings = [asdict(reading) for each in soaked for reading in each.readings]
        Path(options.json).write_text(json.dumps(readings, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, metavar="M")
    parser.add_argument("--databases", nargs="+", choices=sorted(KINDS), default=sorted(KINDS), metavar="KIND")
    parser.add_argument("--json", metavar="FILE", help="write every reading to FILE")
    return parser.parse_args()


def _soak(soaked: Sequence[Soaked], seconds: float) -> None:
    started_at = look_at = time.monotonic()
    number = 0
    while (now := time.monotonic()) < started_at + seconds:
        number += 1
        for each in soaked:
            each.add_job(number)
            if now >= look_at:
                each.read()
                print(each.readings[-1], file=sys.stderr)
        look_at += LOOK if now >= look_at else 0
        time.sleep(max(started_at + number * NEW_JOB - time.monotonic(), 0))


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(readings: Sequence[Reading]) -> str:
    columns = ("minutes", "resident MiB", "its processes MiB", "file descriptors", "threads", "runs so far")
    step = max(len(readings) // LINES, 1)
    rows = [
        [
            f"{reading.seconds / 60:.1f}", f"{reading.rss_mib:.1f}", f"{reading.workers_mib:.1f}", str(reading.fds),
            str(reading.threads), f"{reading.runs:,}",
        ]
        for reading in readings[::step]
    ]  # fmt: skip
    return tables.table(columns, rows, left=0)


def _growth(all_readings: Sequence[Sequence[Reading]]) -> str:
    columns = ("database", "resident MiB", "its processes MiB", "file descriptors", "threads", "runs")
    rows = []
    for readings in all_readings:
        counted = [reading for reading in readings if reading.seconds >= readings[-1].seconds * WARM_UP]
        hours = [reading.seconds / 3600 for reading in counted]
        slopes = [linear_regression(hours, [getattr(r, name) for r in counted]).slope for name in GROWTH]
        runs = linear_regression(hours, [reading.runs for reading in counted]).slope
        rows.append([readings[0].database, *(f"{slope:+.2f}" for slope in slopes), f"{runs:+,.0f}"])
    return tables.table(columns, rows, left=1)


if __name__ == "__main__":
    harness.command(main)
