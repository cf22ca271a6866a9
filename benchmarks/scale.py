"""Scale: how far one PostgreSQL carries it, with several schedulers, many jobs, and many runs in one table or in parts.

The first table counts the fire times that are claimed, run and recorded in a second, while more jobs are due than the
schedulers can take. The others have what is asked of a long history, and what it costs to partition it. Each figure is
taken on a copy of a database of its own. docs/scale.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, scale_history, tables
from benchmarks.databases import PostgreSQL
from benchmarks.scale_history import LAYOUTS, Layout
from benchmarks.scale_server import Copy, Work, watched

SETTLED = 3.0
"""Seconds that all schedulers have to take their leases."""
LOOK = 0.5
"""Seconds between two counts."""
FINISHED = (
    "SELECT COALESCE(max(id), 0) - {} - (SELECT count(*) FROM cronzimus_run WHERE status IN ('queued', 'running')) "
    "FROM cronzimus_run"
)
"""The number of finished runs since the beginning, which are too many to count often. Only these claims take ids."""
RELEASE = "WITH u AS (UPDATE cronzimus_control SET paused = false) SELECT pg_notify('cronzimus', '')"


@dataclass(frozen=True)
class Sample:
    """One measurement: fire times in a second, and in the second half of it; milliseconds of CPU for each fire time."""

    layout: str
    jobs: int
    runs: int
    schedulers: int
    fire_times: int
    rate: float
    later_rate: float
    scheduler_cpu: float
    server_cpu: float
    work: Work


def main() -> None:
    """Measure, and print the tables."""
    options = _options()
    samples: list[Sample] = []
    if "claims" in options.parts:
        for jobs in options.jobs:
            with scale_history.filled(Layout("empty"), jobs, 0) as database:
                samples += _rounds(database, Layout("empty"), jobs, 0, options)
    told = []
    for name in [name for name in LAYOUTS if name in options.parts]:
        with scale_history.filled(LAYOUTS[name], min(options.jobs), options.runs) as database:
            samples += _rounds(database, LAYOUTS[name], min(options.jobs), options.runs, options)
            told.append(scale_history.measured(database, LAYOUTS[name], options.seconds))
    print("\n\n".join([*_tables(samples), *scale_history.tables_of(told)]))
    if options.json:
        found = {"samples": [asdict(sample) for sample in samples], "history": [asdict(told_of) for told_of in told]}
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parts = ["claims", *LAYOUTS]
    parser.add_argument("--jobs", type=int, nargs="+", default=[100_000, 1_000_000], metavar="N", help="due jobs")
    parser.add_argument("--schedulers", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--runs", type=int, default=10_000_000, metavar="N", help="runs of the long histories")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="how long each is watched (default: 10)")
    parser.add_argument("--repeat", type=int, default=3, metavar="TIMES", help="rounds (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, metavar="PART", help=", ".join(parts))
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    options = parser.parse_args()
    if min(*options.jobs, *options.schedulers, options.seconds, options.repeat) < 1 or options.runs < 1000:
        parser.error("--jobs, --schedulers, --seconds and --repeat are numbers from 1, and --runs is at least 1000")
    return options


# --- one measurement -------------------------------------------------------------------------------------------------


def _rounds(
    database: PostgreSQL, layout: Layout, jobs: int, runs: int, options: argparse.Namespace
) -> Iterator[Sample]:
    for _ in range(options.repeat):
        for schedulers in options.schedulers:
            sample = _measured(database, layout, jobs, runs, schedulers, options.seconds)
            print(
                f"{layout.name}, {jobs:,} jobs, {runs:,} runs, {schedulers} schedulers: {sample.rate:,.0f}/s",
                file=sys.stderr,
            )
            yield sample


def _measured(original: PostgreSQL, layout: Layout, jobs: int, runs: int, schedulers: int, seconds: float) -> Sample:
    with Copy(original) as database, ExitStack() as stack:
        children = [stack.enter_context(harness.running("cronzimus", database, "run")) for _ in range(schedulers)]
        for child in children:
            child.wait_for("ready")
        time.sleep(SETTLED)
        newest = database.count("SELECT COALESCE(max(id), 0) FROM cronzimus_run")
        server, before = harness.Backends(database), sum(child.cpu() for child in children)
        with watched(database) as work, database.watching(FINISHED.format(newest)) as count:
            with database.connected() as connection:
                connection.execute(RELEASE)
            looks = [(time.monotonic(), 0)]
            while looks[-1][1] < jobs and looks[-1][0] < looks[0][0] + seconds:
                time.sleep(min(LOOK, seconds / 4))
                looks.append((time.monotonic(), count()))
                server.look()
                for child in children:
                    child.check()
        spent = sum(child.cpu() for child in children) - before
    done = max(looks[-1][1], 1)
    return Sample(
        layout.name, jobs, runs, schedulers, done, _rate(looks), _rate(looks[(len(looks) - 1) // 2 :]),
        spent / done * 1000, server.cpu_seconds / done * 1000, work,
    )  # fmt: skip


def _rate(looks: Sequence[tuple[float, int]]) -> float:
    """Return the fire times in a second between the first look and the last; 0 if they are one."""
    (since, fewest), (until, most) = looks[0], looks[-1]
    return (most - fewest) / (until - since) if until > since else 0.0


# --- the tables ------------------------------------------------------------------------------------------------------

COLUMNS = (
    "runs in the table", "jobs", "schedulers", "fire times/s (min–max)", "× one scheduler", "in the second half",
    "scheduler's CPU, ms", "server's CPU, ms", "log, kB", "server at work",
)  # fmt: skip


def _tables(samples: Sequence[Sample]) -> Iterator[str]:
    if samples:
        groups = grouped(samples)
        yield tables.table(COLUMNS, [_row(group, groups) for group in groups])
    if any(sample.work.milliseconds for sample in samples):
        yield _statements(grouped(samples))


def grouped(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the rounds of each measurement, in one list."""
    groups: dict[tuple[str, int, int, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.layout, sample.runs, sample.jobs, sample.schedulers), []).append(sample)
    return list(groups.values())


def _row(group: Sequence[Sample], groups: Sequence[Sequence[Sample]]) -> list[str]:
    first, rates = group[0], [sample.rate for sample in group]
    place = (first.layout, first.runs, first.jobs)
    alone = [
        sample.rate
        for other in groups
        for sample in other
        if (sample.layout, sample.runs, sample.jobs) == place and sample.schedulers == 1
    ]
    busy = median(sample.work.busy for sample in group)
    waits = max(group, key=lambda sample: sample.fire_times).work.waits
    return [
        first.layout if not first.runs else f"{first.runs:,}, {first.layout}", f"{first.jobs:,}",
        str(first.schedulers), f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})",
        f"{median(rates) / median(alone):.2f}" if alone else "–",
        f"{median(sample.later_rate for sample in group) / median(rates):.2f} ×",
        f"{median(sample.scheduler_cpu for sample in group):.3f}",
        f"{median(sample.server_cpu for sample in group):.3f}",
        f"{median(sample.work.log_bytes / sample.fire_times for sample in group) / 1000:.2f}",
        f"{busy:.2f}: " + ", ".join(f"{name} {share:.0%}" for name, share in list(waits.items())[:3]),
    ]  # fmt: skip


def _statements(groups: Sequence[Sequence[Sample]]) -> str:
    """Return the table of the statements' time on the server, in microseconds for each fire time."""
    columns = ["statement", *(f"{_place(group[0])}, µs" for group in groups)]
    names = dict.fromkeys(name for group in groups for sample in group for name in sample.work.milliseconds)
    spent = {
        name: [
            median(sample.work.milliseconds.get(name, 0.0) / sample.fire_times * 1000 for sample in group)
            for group in groups
        ]
        for name in names
    }
    rows = [[name, *(f"{cell:.1f}" for cell in spent[name])] for name in sorted(names, key=lambda n: -max(spent[n]))]
    return tables.table(columns, rows, left=1)


def _place(sample: Sample) -> str:
    return f"{sample.layout}, {sample.jobs:,} jobs × {sample.schedulers}"


if __name__ == "__main__":
    harness.command(main)
