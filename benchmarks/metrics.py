"""Metrics: what a scrape of /metrics costs with many jobs, beside prometheus-client that writes the same samples.

docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness
from benchmarks.databases import PLACES
from benchmarks.harness import Contender
from benchmarks.tables import Results, grouped, ms

CRONZIMUS = Contender("Cronzimus", "cronzimus_metrics", harness.BOTH, "prometheus_client")


@dataclass(frozen=True)
class Sample:
    """The scrapes of one round: medians in seconds, the number of statements, and the size of the answer."""

    contender: str
    database: str
    jobs: int
    seconds: float
    cpu: float
    statements: int
    samples: int
    size: int


def main() -> None:
    """Measure, print the table, and write the samples to the file of `--json`."""
    options, results = _options(), Results()
    for jobs in options.jobs:
        for _ in range(options.repeat):
            for kind in dict.fromkeys(options.databases):
                results.measure(CRONZIMUS.name, kind, lambda kind=kind, jobs=jobs: _measure(kind, jobs))
    samples = [sample for pair in results.samples for sample in pair]
    results.samples = samples
    results.show(COLUMNS, _rows(samples), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10_000], metavar="N")
    parser.add_argument("--databases", nargs="+", choices=harness.BOTH, default=harness.BOTH, metavar="KIND")
    parser.add_argument("--repeat", type=int, default=3, metavar="TIMES", help="rounds (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    return parser.parse_args()


def _measure(kind: str, jobs: int) -> list[Sample]:
    CRONZIMUS.require()
    with PLACES[kind]() as database:
        harness.call(CRONZIMUS, database, "prepare", jobs=jobs)
        lines = harness.call(CRONZIMUS, database, "scrape").splitlines()
    return [Sample(database=kind, jobs=jobs, **json.loads(line)) for line in lines]


COLUMNS = ("contender", "database", "jobs", "ms (min–max)", "of them CPU", "statements", "samples", "kB")


def _rows(samples: list[Sample]) -> list[list[str]]:
    return [row for jobs in dict.fromkeys(sample.jobs for sample in samples)
            for group in grouped([sample for sample in samples if sample.jobs == jobs])
            for row in [_row(group)]]  # fmt: skip


def _row(group: list[Sample]) -> list[str]:
    one, seconds = group[0], sorted(sample.seconds for sample in group)
    spread = f"{ms(median(seconds))} ({ms(seconds[0])}–{ms(seconds[-1])})"
    cpu = ms(median(sample.cpu for sample in group))
    return [one.contender, one.database, f"{one.jobs:,}", spread, cpu,
            str(one.statements), f"{one.samples:,}", f"{one.size / 1000:,.0f}"]  # fmt: skip


if __name__ == "__main__":
    harness.command(main)
