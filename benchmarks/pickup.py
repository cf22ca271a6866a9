"""Pick-up: another process adds a job that is due now. How long until its function starts?

One job at a time, 100 of them, with a pause of 20 to 80 ms before each. Both ends are read from the clock that all
processes of a machine share: the beginning before the call that adds the job, or before the request is sent; the end as
the first thing in the function, which tells through a pipe. "From the call" is what a user waits; "from its return" is
what the scheduler takes once the job is there, and is negative where the function started sooner than that was known.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import PLACES, Database

PATIENCE = 5.0
"""Seconds to wait for one job to start."""
AT_MOST = 15.0
"""Seconds after which no further job is added."""
GIVEN_UP = 3
"""Jobs that may fail to start."""
SETTLED = 1.0
"""Seconds of rest for a scheduler before the first job."""


@dataclass(frozen=True)
class Way(harness.Contender):
    """A contender, and the way to add a job: over HTTP or not, as a new job or as a manual run."""

    http: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def adds(self) -> str:
        """The way of adding, in words."""
        what = "run now" if self.arguments else "add"
        return f"{what}, HTTP" if self.http else what


_BY_HAND = {"by_hand": True}
CONTENDERS = (
    Way("cronzimus", "cronzimus", harness.BOTH),
    Way("cronzimus", "cronzimus", harness.BOTH, http=True),
    Way("cronzimus", "cronzimus", harness.BOTH, arguments=_BY_HAND),
    Way("cronzimus", "cronzimus", harness.BOTH, http=True, arguments=_BY_HAND),
    Way("django-apscheduler", "django_apscheduler", harness.BOTH),
    Way("procrastinate", "procrastinate", ("postgresql",), "procrastinate"),
    Way("celery", "celery", ("redis",), "celery"),
    Way("flask-apscheduler", "flask_apscheduler", ("memory",), "flask_apscheduler", http=True),
)


@dataclass(frozen=True)
class Sample:
    """One measurement: seconds from the call, and from its return, for each job that started."""

    contender: str
    database: str
    from_call: list[float]
    from_return: list[float]
    asked: int


def main() -> None:
    """Measure, and print the table."""
    options, results = _options(), tables.Results()
    for _ in range(options.repeat):
        for way, kind in harness.pairs(CONTENDERS, options):
            name = f"{way.name}: {way.adds}"
            sample = results.measure(name, kind, partial(_measured, way, kind, name, options.jobs))
            if sample is not None:
                print(f"{name}, {kind}: p99 {tables.ms(_p99(sample.from_call))} ms", file=sys.stderr)
    results.show(COLUMNS, rows(results.samples), options)


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=1)
    parser.add_argument("--jobs", type=int, default=100, metavar="N")
    return parser.parse_args()


# --- one measurement -------------------------------------------------------------------------------------------------


def _measured(way: Way, kind: str, name: str, jobs: int) -> Sample:
    way.require()
    with PLACES[kind]() as database, ExitStack() as stack:
        scheduler, client = _started(way, database, stack)
        time.sleep(SETTLED)
        times = list(_asked(scheduler, client, jobs))
    started = [times for times in times if times is not None]
    if len(started) < 2:
        raise harness.Failed(f"{len(started)} of {len(times)} jobs started within {PATIENCE:.0f} s")
    return Sample(
        name, kind, [end - call for call, _, end in started], [end - back for _, back, end in started], len(times)
    )


def _started(way: Way, database: Database, stack: ExitStack) -> tuple[harness.Child, harness.Child]:
    """Start all processes; return the one that reports starts, and the client."""
    if way.module in ("cronzimus", "django_apscheduler"):
        harness.call(way, database, "prepare-pickup")
    elif way.module == "procrastinate":
        harness.call(way, database, "prepare")
    running, port = [], harness.free_port()
    if way.module != "flask_apscheduler":
        running.append(stack.enter_context(harness.running(way.module, database, "run")))
        running[0].wait_for("ready")
    if way.http:
        running.append(stack.enter_context(harness.running(way.module, database, "web", port=port)))
        harness.wait_for_port(port, "/scheduler/jobs", running[-1].check)
    module, arguments = ("http_client", {"port": port}) if way.http else (way.module, {})
    client = stack.enter_context(harness.running(module, database, "client", **arguments, **way.arguments))
    client.wait_for("ready")
    return running[0], client


def _asked(scheduler: harness.Child, client: harness.Child, jobs: int) -> Iterator[tuple[float, float, float] | None]:
    """Add jobs one by one; return the times of each request, of its answer, and of the start."""
    lost, until = 0, time.monotonic() + AT_MOST
    for number in range(1, jobs + 1):
        time.sleep(random.uniform(0.02, 0.08))
        times = _one(scheduler, client, str(number))
        lost += times is None
        yield times
        if lost >= GIVEN_UP or time.monotonic() > until:
            return


def _one(scheduler: harness.Child, client: harness.Child, tag: str) -> tuple[float, float, float] | None:
    client.ask(tag)
    added = client.line(PATIENCE)
    if added is None or added[:2] != ["added", tag]:
        client.check()
        raise harness.Failed(f"the client did not add a job:\n{client.log()}")
    until = time.monotonic() + PATIENCE
    while (told := scheduler.line(until - time.monotonic())) is not None:
        if told[:2] == ["start", tag]:
            return float(added[2]), float(added[3]), float(told[2])
    scheduler.check()
    return None


# --- the table -------------------------------------------------------------------------------------------------------

COLUMNS = (
    "contender", "database", "started", "from the call: p50 ms", "p99 ms", "max ms", "from its return: p50 ms",
    "p99 ms",
)  # fmt: skip


def rows(samples: Sequence[Sample]) -> list[list[str]]:
    """Return the table's rows: medians over the rounds."""
    return [_row(group) for group in tables.grouped(samples)]


def _row(group: Sequence[Sample]) -> list[str]:
    figures = [
        (median(s.from_call), _p99(s.from_call), max(s.from_call), median(s.from_return), _p99(s.from_return))
        for s in group
    ]
    started, asked = sum(len(s.from_call) for s in group), sum(s.asked for s in group)
    return [
        group[0].contender, group[0].database, f"{started} of {asked}",
        *(tables.ms(median(column)) for column in zip(*figures, strict=True)),
    ]  # fmt: skip


def _p99(values: Sequence[float]) -> float:
    return tables.percentile(values, 99)


if __name__ == "__main__":
    harness.command(main)
