"""Idle: what a scheduler costs with many stored jobs, none of them due, or one of them every second.

Each measurement is a process of its own on a database of its own, with the jobs put in beforehand; docs/performance.md
says how to read the table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES

SETTLED = 3.0
"""Seconds after the start, or after the first fire, from which on the processor's time is counted, at the earliest."""
BUSY = 0.3
"""Seconds of the processor's time in one second of a scheduler that is still starting."""
PATIENCE = 120.0
"""Seconds that the first fire may take."""
IN_MEMORY = harness.Contender("apscheduler", "apscheduler", ("memory",))
CONTENDERS = (harness.CRONZIMUS, harness.DJANGO_APSCHEDULER, IN_MEMORY)


@dataclass(frozen=True)
class Sample:
    """One measurement: seconds from the process's start to the first call, the processor's seconds, and MiB."""

    contender: str
    database: str
    jobs: int
    due: bool
    first_fire: float | None
    cpu_per_minute: float
    peak_mib: float


def main() -> None:
    """Measure, print the table, and write the samples to the file of `--json`."""
    options, results = _options(), tables.Results()
    for jobs in options.jobs * options.repeat:
        for contender, kind in harness.pairs(CONTENDERS, options):
            for due in (False, True):
                take = partial(_measured, contender, kind, jobs, due, options.seconds)
                sample = results.measure(contender.name, kind, take)
                if sample is not None:
                    print(" ".join(_row(sample)), file=sys.stderr)
    results.show(COLUMNS, [_row(sample) for sample in results.samples], options)


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=1)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--seconds", type=float, default=30, help="how long each is watched (default: 30)")
    options = parser.parse_args()
    if min(*options.jobs, options.seconds, options.repeat) < 1:
        parser.error("--jobs, --seconds and --repeat are numbers from 1")
    return options


# --- one measurement -------------------------------------------------------------------------------------------------


def _measured(contender: harness.Contender, kind: str, jobs: int, due: bool, seconds: float) -> Sample:
    contender.require()
    stored = {"jobs": jobs, "due": due}
    with PLACES[kind]() as database:
        if contender != IN_MEMORY:
            harness.call(contender, database, "prepare-idle", **stored)
        action, arguments = ("run-idle", stored) if contender == IN_MEMORY else ("run", {})
        with harness.running(contender.module, database, action, endless=True, **arguments) as child:
            first_fire = child.wait_for("start", PATIENCE) - child.started_at if due else None
            _settle(child)
            before, at = _cpu(child.pid), time.monotonic()
            time.sleep(seconds)
            child.check()
            spent, watched = _cpu(child.pid) - before, time.monotonic() - at
            peak = _peak(child.pid)
            child.stop()
    return Sample(contender.name, kind, jobs, due, first_fire, spent / watched * 60, peak)


def _settle(child: harness.Child) -> None:
    time.sleep(SETTLED)
    before = _cpu(child.pid)
    while True:
        time.sleep(1)
        child.check()
        now = _cpu(child.pid)
        if now - before < BUSY:
            return
        before = now


def _cpu(pid: int) -> float:
    # Linux's number for the clock of another process's time on the processors (clock_getcpuclockid(3)): so little is
    # used that the hundredths of a second in /proc would not do.
    return time.clock_gettime(~pid << 3 | 2)


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = ("contender", "database", "jobs", "due", "first fire, s", "CPU-s a minute", "peak MiB")


def _row(sample: Sample) -> Sequence[str]:
    return [
        sample.contender, sample.database, f"{sample.jobs:,}", "one a second" if sample.due else "none",
        "" if sample.first_fire is None else f"{sample.first_fire:.2f}", f"{sample.cpu_per_minute:.2f}",
        f"{sample.peak_mib:.0f}",
    ]  # fmt: skip


if __name__ == "__main__":
    harness.command(main)
