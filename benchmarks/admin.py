"""Admin: what its pages cost with 1,000 jobs and a million runs, and the same lists in the admins of others.

docs/performance.md says how to read the tables.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES, Unavailable
from benchmarks.harness import Contender, Failed

CRONZIMUS = Contender("Cronzimus", "cronzimus_admin", harness.BOTH)
DJANGO_APSCHEDULER = Contender("django-apscheduler", "admin_peers", harness.BOTH, "django_apscheduler")
CELERY_RESULTS = Contender("django-celery-results", "admin_peers", harness.BOTH, "django_celery_results")
CONTENDERS = (CRONZIMUS, DJANGO_APSCHEDULER, CELERY_RESULTS)
COMPARED = ("jobs", "runs")
"""The pages that the peers have too."""


@dataclass(frozen=True)
class Sample:
    """A page: its medians in seconds, in all and of CPU, its statements, and its bytes as a browser gets them."""

    contender: str
    database: str
    page: str
    seconds: float
    cpu: float
    statements: int
    size: int


def main() -> None:
    """Measure, print the tables, and write the samples where `--json` says."""
    options = _options()
    samples = list(_samples(options))
    print("\n".join([*_pages(samples), *_compared(samples)]))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=7)
    parser.set_defaults(databases=list(harness.BOTH))
    parser.add_argument("--jobs", type=int, default=1000, metavar="N", help="at least 1000")
    parser.add_argument("--runs", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args()
    if options.jobs < 1000 or options.runs < 10 * options.jobs:
        parser.error("--jobs is at least 1000, and --runs ten times as many")
    return options


def _samples(options: argparse.Namespace) -> Iterator[Sample]:
    for contender, kind in harness.pairs(CONTENDERS, options):
        app = {} if contender is CRONZIMUS else {"app": contender.package}
        try:
            contender.require()
            with PLACES[kind]() as database:
                harness.call(contender, database, "prepare", jobs=options.jobs, runs=options.runs, **app)
                told = harness.call(contender, database, "pages", times=options.repeat, **app)
        except (Failed, Unavailable) as reason:
            print(f"{contender.name}, {kind}: skipped, {reason}", file=sys.stderr)
            continue
        yield from (Sample(contender.name, kind, **json.loads(line)) for line in told.splitlines())


def _pages(samples: Sequence[Sample]) -> Iterator[str]:
    own = [sample for sample in samples if sample.contender == CRONZIMUS.name]
    kinds = list(dict.fromkeys(sample.database for sample in own))
    columns = ["page", *(f"{kind}, ms" for kind in kinds), "statements", "kB"]
    rows = []
    for page in dict.fromkeys(sample.page for sample in own):
        found = {sample.database: sample for sample in own if sample.page == page}
        times = [tables.ms(found[kind].seconds) if kind in found else "–" for kind in kinds]
        most = max(found.values(), key=lambda sample: sample.size)
        rows.append([page, *times, str(most.statements), f"{most.size / 1000:.0f}"])
    if rows:
        yield tables.table(columns, rows, left=1) + "\n"


def _compared(samples: Sequence[Sample]) -> Iterator[str]:
    columns = ["list of", "contender", "database", "ms", "× Cronzimus", "statements", "kB"]
    own = {(sample.page, sample.database): sample for sample in samples if sample.contender == CRONZIMUS.name}
    rows = []
    for sample in sorted(samples, key=lambda sample: (sample.page, sample.database)):
        if sample.page in COMPARED:
            ours = own.get((sample.page, sample.database))
            ratio = f"{sample.seconds / ours.seconds:.1f}" if ours else "–"
            rows.append([sample.page, sample.contender, sample.database, tables.ms(sample.seconds), ratio,
                         str(sample.statements), f"{sample.size / 1000:.0f}"])  # fmt: skip
    yield tables.table(columns, rows, left=3)


if __name__ == "__main__":
    harness.command(main)
