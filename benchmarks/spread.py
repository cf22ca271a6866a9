"""Spread: 10,000 jobs due at the same instant, over two and over three schedulers. What is the share of each?

All schedulers are up before that instant. The function takes ten milliseconds, so that sharing matters, or nothing at
all, so that one scheduler might take everything before the others have seen it. "Furthest from even" is how far the
share of any of them is from that of all, in percent of the even one.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES, Database, Unavailable

AHEAD = 4
"""Seconds that all schedulers have to start, and to come to rest."""
LOOK = 0.1
"""Seconds between two checks whether all has run."""
LEFT = "SELECT count(*) FROM cronzimus_job WHERE run_count = 0"
SHARES = "SELECT count(*) FROM cronzimus_run GROUP BY scheduler_id"


@dataclass(frozen=True)
class Sample:
    """One measurement: the number of runs of each scheduler, and the seconds from the instant until all had run."""

    database: str
    function: str
    schedulers: int
    shares: list[int]
    seconds: float

    @property
    def furthest(self) -> float:
        """The largest deviation of a share from the even one, relative to the even one."""
        even = sum(self.shares) / self.schedulers
        return max(abs(share / even - 1) for share in [*self.shares, *[0] * (self.schedulers - len(self.shares))])


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    samples: list[Sample] = []
    for _ in range(options.repeat):
        for _, kind in harness.pairs([harness.CRONZIMUS], options):
            for function in options.functions:
                for schedulers in options.schedulers:
                    try:
                        samples.append(_measured(kind, function, schedulers, options.jobs))
                        print(f"{kind}, {function}, {samples[-1].shares}", file=sys.stderr)
                    except (Unavailable, harness.Failed) as reason:
                        print(f"{kind}, {function}, {schedulers} schedulers: skipped: {reason}", file=sys.stderr)
    print(tables.table(COLUMNS, rows(samples)))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, [harness.CRONZIMUS], repeat=1)
    parser.add_argument("--jobs", type=int, default=10000, metavar="N")
    parser.add_argument("--schedulers", type=int, nargs="+", default=[2, 3], metavar="N")
    parser.add_argument(
        "--functions", nargs="+", choices=["ten_ms", "noop"], default=["ten_ms", "noop"], metavar="NAME"
    )
    return parser.parse_args()


def _measured(kind: str, function: str, schedulers: int, jobs: int) -> Sample:
    with PLACES[kind]() as database, ExitStack() as stack:
        # Put in long before they are due, and moved to the instant when all schedulers are there.
        harness.call(
            harness.CRONZIMUS, database, "prepare-burst", jobs=jobs, function=function, at=math.ceil(time.time()) + 3600
        )
        children = [stack.enter_context(harness.running("cronzimus", database, "run")) for _ in range(schedulers)]
        for child in children:
            child.wait_for("ready")
        at = math.ceil(time.time()) + AHEAD
        harness.call(harness.CRONZIMUS, database, "bring-forward", at=at)
        _wait(database, children, at)
        seconds = time.time() - at
        with database.connected() as connection:
            shares = [count for (count,) in connection.execute(SHARES).fetchall()]
    return Sample(kind, function, schedulers, sorted(shares, reverse=True), seconds)


def _wait(database: Database, children: Sequence[harness.Child], at: float) -> None:
    if at < time.time():
        raise harness.Failed("the jobs were due before all schedulers were there")
    time.sleep(at - time.time())
    with database.watching(LEFT) as left:
        while left():
            for child in children:
                child.check()
            time.sleep(LOOK)


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = ("database", "function", "schedulers", "shares", "furthest from even", "seconds", "runs/s")


def rows(samples: Sequence[Sample]) -> list[list[str]]:
    """Return the table's rows: medians over the rounds, and the shares of the worst round."""
    groups: dict[tuple[str, str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.database, sample.function, sample.schedulers), []).append(sample)
    return [_row(group) for group in groups.values()]


def _row(group: Sequence[Sample]) -> list[str]:
    worst = max(group, key=lambda sample: sample.furthest)
    seconds = median(sample.seconds for sample in group)
    return [
        worst.database, worst.function, str(worst.schedulers), " + ".join(f"{share:,}" for share in worst.shares),
        f"{median(sample.furthest for sample in group):.0%}", f"{seconds:.1f}", f"{sum(worst.shares) / seconds:,.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    harness.command(main)
