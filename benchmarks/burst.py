"""Burst: many jobs due at once, until each has run and its run is committed.

Each measurement is a process of its own on a database of its own, with the jobs put in beforehand. Where a contender
keeps a history, another process looks into the database until every run is finished there; APScheduler keeps none, and
tells when its last function has returned. docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES, Database, Unavailable

LOOK = (0.002, 0.05)
"""Seconds between two looks of the observer: the fewest and the most. In between, a twentieth of what is left."""
PEER = "django-apscheduler"
SLOW = {"celery": 1000, "django-apscheduler": 1000}
"""Jobs for contenders that would take minutes, or whose figures do not change with more jobs."""
CONTENDERS = (
    harness.CRONZIMUS,
    harness.ONE_CORE,
    harness.DJANGO_APSCHEDULER,
    harness.APSCHEDULER,
    harness.PROCRASTINATE,
    harness.CELERY,
)
REPEATED = {harness.CRONZIMUS, harness.ONE_CORE}
"""The contenders of every round, with the most jobs; others, and fewer jobs, are measured in the first round only."""


@dataclass(frozen=True)
class Questions:
    """The queries of the observer: the number of finished runs, and the number of all runs."""

    finished: str
    total: str


QUESTIONS = {
    "cronzimus": Questions(
        "SELECT count(*) FROM cronzimus_run WHERE status = 'succeeded'",
        "SELECT count(*) FROM cronzimus_run",
    ),
    "django_apscheduler": Questions(
        "SELECT count(*) FROM django_apscheduler_djangojobexecution WHERE status = 'Executed'",
        "SELECT count(*) FROM django_apscheduler_djangojobexecution",
    ),
    "procrastinate": Questions(
        "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
        "SELECT count(*) FROM procrastinate_jobs",
    ),
    "celery": Questions("results", "results"),
}


@dataclass(frozen=True)
class Sample:
    """One measurement, in seconds from the scheduler's start and from its process's, and MiB."""

    contender: str
    database: str
    jobs: int
    seconds: float
    process_seconds: float
    cpu_seconds: float
    peak_mib: float


def main() -> None:
    """Measure, print the table, and write the samples to the file of `--json`."""
    options, results = _options(), tables.Results()
    for number in range(options.repeat):
        for contender, kind in harness.pairs(CONTENDERS, options):
            for jobs in options.jobs:
                if number == 0 or (contender in REPEATED and jobs == max(options.jobs)):
                    sample = results.measure(contender.name, kind, partial(measure, contender, kind, jobs))
                    if sample is not None:
                        rate = jobs / sample.seconds
                        print(f"{kind}, {jobs} jobs, {contender.name}: {rate:,.0f} runs/s", file=sys.stderr)
    results.show(COLUMNS, rows(results.samples), options)


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=3)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10000], metavar="N")
    options = parser.parse_args()
    if min(*options.jobs, options.repeat) < 1:
        parser.error("--jobs and --repeat are numbers from 1")
    return options


# --- one measurement -------------------------------------------------------------------------------------------------


def measure(contender: harness.Contender, kind: str, jobs: int) -> Sample:
    """Put the jobs in, start the scheduler, and time it until every run is finished.

    Raises `Failed` with the scheduler's log if it ends before, takes too long, or runs a job twice.
    """
    if jobs > SLOW.get(contender.name, jobs):
        raise Unavailable(f"{jobs:,} jobs would take it too long")
    contender.require()
    with PLACES[kind]() as database:
        action, arguments = _prepared(contender, database, jobs)
        with harness.running(contender.module, database, action, pinned=contender.pinned, **arguments) as child:
            ready_at = child.wait_for("ready")
            finished_at = _observe(child, contender, database, jobs)
            usage, log = child.stop(), child.log()
        questions = QUESTIONS.get(contender.module)
        if questions and (total := database.count(questions.total)) != jobs:
            raise harness.Failed(f"{contender.name} has {total} runs on record, not {jobs}:\n{log}")
    return Sample(
        contender.name, kind, jobs,
        seconds=finished_at - ready_at,
        process_seconds=finished_at - child.started_at,
        cpu_seconds=usage.cpu_seconds,
        peak_mib=usage.peak_mib,
    )  # fmt: skip


def _prepared(contender: harness.Contender, database: Database, jobs: int) -> tuple[str, dict[str, Any]]:
    """Put the jobs in, and return the arguments for the contender."""
    if contender == harness.CELERY:
        return "run", {"burst": jobs}
    harness.call(contender, database, "prepare-burst", jobs=jobs)
    return ("run-burst", {"jobs": jobs}) if contender == harness.APSCHEDULER else ("run", {})


def _observe(child: harness.Child, contender: harness.Contender, database: Database, jobs: int) -> float:
    """Return the monotonic time at which all `jobs` have run.

    The looks into the database come closer as the end does: they disturb little, and find the end within a twentieth of
    what was left.
    """
    questions = QUESTIONS.get(contender.module)
    if questions is None:
        return child.wait_for("done", harness.TIMEOUT)
    first_at, last = None, 0.0
    with database.watching(questions.finished) as count:
        while (done := count()) < jobs:
            last = time.monotonic()
            child.check()
            first_at = last if first_at is None and done else first_at
            time.sleep(_pause(jobs, done, last - (first_at or last)))
    return time.monotonic()


def _pause(jobs: int, done: int, elapsed: float) -> float:
    left = elapsed * (jobs - done) / done if done else 0.0
    return min(max(left / 20, LOOK[0]), LOOK[1])


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = (
    "contender", "database", "jobs", "runs/s (min–max)", "× peer", "from process start", "× peer", "CPU s", "peak MiB",
)  # fmt: skip


def rows(samples: Sequence[Sample]) -> list[list[str]]:
    """Return the table's rows: medians, and ratios to the better of django-apscheduler's settings."""
    lines = []
    for key in dict.fromkeys((sample.database, sample.jobs) for sample in samples):
        group = [sample for sample in samples if (sample.database, sample.jobs) == key]
        lines += [_row(name, group) for name in dict.fromkeys(sample.contender for sample in group)]
    return lines


def _row(name: str, group: Sequence[Sample]) -> list[str]:
    mine = [sample for sample in group if sample.contender == name]
    jobs = mine[0].jobs
    rates = [jobs / sample.seconds for sample in mine]
    return [
        name, mine[0].database, f"{jobs:,}", f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        _ratio(mine, group, lambda sample: sample.seconds),
        f"{median(jobs / sample.process_seconds for sample in mine):,.0f}",
        _ratio(mine, group, lambda sample: sample.process_seconds),
        f"{median(sample.cpu_seconds for sample in mine):.2f}", f"{median(sample.peak_mib for sample in mine):.1f}",
    ]  # fmt: skip


def _ratio(mine: Sequence[Sample], group: Sequence[Sample], seconds: Callable[[Sample], float]) -> str:
    peers = {sample.contender for sample in group if sample.contender.startswith(PEER)}
    if not peers:
        return "–"
    best = min(median(seconds(sample) for sample in group if sample.contender == peer) for peer in peers)
    return f"{best / median(seconds(sample) for sample in mine):.1f}"


if __name__ == "__main__":
    harness.command(main)
