"""Steady load: 500 jobs that fire together at every second, for 30 seconds. How late do they start, and do all of them?

The function keeps in memory when it was called, and the process writes that down at its end. The first three seconds do
not count. A start is taken for the fire time of the second in which it happened, so no lag is longer than a second: who
falls further behind shows it in the runs that never happened. CPU is what the scheduler's process and those that it
started used meanwhile, in percent of one core; the database server's beside it, where it is PostgreSQL on this machine.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES, Database

WARM_UP = 3
"""Seconds after a scheduler's start that do not count."""
REST = 1.5
"""Seconds that the last runs have to start."""
CONTENDERS = (
    harness.CRONZIMUS,
    harness.DJANGO_APSCHEDULER,
    harness.APSCHEDULER,
    harness.PROCRASTINATE,
    harness.CELERY,
)


@dataclass(frozen=True)
class Sample:
    """One measurement: lags in seconds, shares of all fire times, and of one core."""

    contender: str
    database: str
    p50: float
    p99: float
    longest: float
    happened: float
    twice: int
    cpu: float
    server_cpu: float | None
    peak_mib: float


def main() -> None:
    """Measure, and print the table."""
    options, results = _options(), tables.Results()
    for _ in range(options.repeat):
        for contender, kind in harness.pairs(CONTENDERS, options):
            take = partial(_measured, contender, kind, options.jobs, options.seconds)
            sample = results.measure(contender.name, kind, take)
            if sample is not None:
                print(f"{contender.name}, {kind}: p99 {tables.ms(sample.p99)} ms", file=sys.stderr)
    results.show(COLUMNS, rows(results.samples), options)


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=1)
    parser.add_argument("--jobs", type=int, default=500, metavar="N")
    parser.add_argument("--seconds", type=int, default=30, metavar="S")
    return parser.parse_args()


# --- one measurement -------------------------------------------------------------------------------------------------


def _measured(contender: harness.Contender, kind: str, jobs: int, seconds: int) -> Sample:
    contender.require()
    with PLACES[kind]() as database, tempfile.TemporaryDirectory(prefix="cronzimus-bench-") as starts:
        action, arguments = _prepared(contender, database, jobs)
        with harness.running(contender.module, database, action, starts=starts, **arguments) as child:
            child.wait_for("ready")
            first = math.ceil(time.time()) + WARM_UP
            cpu, server_cpu = _cpu(child, database, first, seconds)
            time.sleep(REST)
            child.check()
            usage, words = child.stop(), child.log()
        lags, happened, twice = counted(_starts(Path(starts)), first, seconds)
    if len(lags) < 2:
        raise harness.Failed(f"nothing started:\n{words}")
    return Sample(
        contender.name, kind,
        p50=median(lags), p99=tables.percentile(lags, 99), longest=max(lags),
        happened=happened / (jobs * seconds), twice=twice,
        cpu=cpu / seconds, server_cpu=server_cpu and server_cpu / seconds, peak_mib=usage.peak_mib,
    )  # fmt: skip


def _prepared(contender: harness.Contender, database: Database, jobs: int) -> tuple[str, dict[str, int]]:
    """Put the jobs in, and return the arguments for the contender."""
    if contender == harness.CELERY:
        return "run", {"steady": jobs}
    if contender == harness.PROCRASTINATE:
        harness.call(contender, database, "prepare")
        return "run", {"periodic": jobs}
    harness.call(contender, database, "prepare-steady", jobs=jobs)
    return ("run-steady", {"jobs": jobs}) if contender == harness.APSCHEDULER else ("run", {})


def _cpu(child: harness.Child, database: Database, first: int, seconds: int) -> tuple[float, float | None]:
    """Return the seconds of CPU that the scheduler, and the server for it, used from `first` on for so many seconds."""
    time.sleep(max(first - time.time(), 0))
    before, backends = child.cpu(), harness.Backends(database)
    for second in range(1, seconds + 1):
        time.sleep(max(first + second - time.time(), 0))
        backends.look()
        child.check()
    return child.cpu() - before, backends.cpu_seconds if database.kind == "postgresql" else None


def _starts(directory: Path) -> list[tuple[str, float]]:
    return [(tag, at) for path in directory.iterdir() for tag, at in json.loads(path.read_text())]


def counted(starts: Sequence[tuple[str, float]], first: int, seconds: int) -> tuple[list[float], int, int]:
    """Return the lags of the starts that count, the number of fire times that started, and of extra starts."""
    counted = [(tag, math.floor(at), at % 1) for tag, at in starts if first <= at < first + seconds]
    happened = len({(tag, second) for tag, second, _ in counted})
    return [lag for _, _, lag in counted], happened, len(counted) - happened


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = (
    "contender", "database", "p50 ms", "p99 ms", "max ms", "happened", "missed", "twice", "CPU %", "server's CPU %",
    "peak MiB",
)  # fmt: skip


def rows(samples: Sequence[Sample]) -> list[list[str]]:
    """Return the table's rows: medians over the rounds."""
    return [_row(group) for group in tables.grouped(samples)]


def _row(group: Sequence[Sample]) -> list[str]:
    def middle(name: str) -> float:
        return median(getattr(sample, name) for sample in group)

    servers = [sample.server_cpu for sample in group if sample.server_cpu is not None]
    return [
        group[0].contender, group[0].database,
        *(tables.ms(middle(name)) for name in ("p50", "p99", "longest")),
        f"{middle('happened'):.2%}", f"{1 - middle('happened'):.2%}", f"{middle('twice'):.0f}",
        f"{middle('cpu'):.1%}", f"{median(servers):.1%}" if servers else "–", f"{middle('peak_mib'):.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    harness.command(main)
