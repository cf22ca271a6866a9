"""Workers: how late runs start on a Celery worker, how many a second, and what that costs, beside plain Celery.

Each contender has a scheduler and a worker with four slots, a PostgreSQL database and a broker of its own. The
contenders take turns, and the first three seconds of a measurement do not count.

Steady load: 100 jobs that fire together at every second. A start is late by what has gone of its second. The way from
the scheduler to the function is measured apart, with 20 jobs in a second that fire one after the other. Throughput:
no-ops that are due at once, or that a client of Celery sends one after the other, until the last result is on record.
CPU is that of all processes of scheduler (or client) and worker, the database's beside it.
"""

from __future__ import annotations

import argparse
import math
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import harness, tables
from benchmarks.databases import BROKERS, PostgreSQL
from benchmarks.steady import counted

WARM_UP = 3
"""Seconds after the start that do not count."""
REST = 1.5
"""Seconds that the last runs have to start."""
LOOK = 0.05
"""Seconds between two looks at how many results there are."""
CRONZIMUS = harness.Contender("cronzimus", "cronzimus_remote", tuple(BROKERS), "celery")
CELERY = harness.Contender("celery", "celery_results", tuple(BROKERS), "django_celery_results")
CLOSING = harness.Contender("celery, a connection a task", "celery_results", tuple(BROKERS), "django_celery_results")
"""Celery as it comes in a Django project, where it ends the connection to the database at each task."""
CONTENDERS = (CRONZIMUS, CELERY, CLOSING)
RESULTS = {
    "cronzimus_remote": "SELECT count(*) FROM cronzimus_run WHERE status = 'succeeded'",
    "celery_results": "SELECT count(*) FROM django_celery_results_taskresult WHERE status = 'SUCCESS'",
}
"""How many runs are on record as succeeded, by module."""


@dataclass(frozen=True)
class Steady:
    """One measurement under steady load: seconds, the share of all fire times that happened, MiB."""

    contender: str
    database: str
    p50: float
    p99: float
    happened: float
    scheduler_mib: float
    worker_mib: float


@dataclass(frozen=True)
class Way:
    """How long messages took from the scheduler to the function, in seconds."""

    contender: str
    database: str
    p50: float
    p99: float


@dataclass(frozen=True)
class Burst:
    """One measurement of throughput: runs a second, and seconds of CPU for a thousand runs."""

    contender: str
    database: str
    runs: int
    rate: float
    scheduler_cpu: float
    worker_cpu: float
    server_cpu: float


@dataclass(frozen=True)
class Site:
    """A contender's scheduler and worker, on a database and a queue of their own."""

    database: PostgreSQL
    queue: str
    scheduler: harness.Child
    worker: harness.Child
    starts: Path

    def check(self) -> None:
        """Raise `Failed` if one of them has ended."""
        self.scheduler.check()
        self.worker.check()

    def cpu(self) -> tuple[float, float]:
        """Return the seconds of CPU of the scheduler, and of the worker."""
        return self.scheduler.cpu(), self.worker.cpu()

    def require(self, times: Sequence[float]) -> None:
        """Raise `Failed` with what they wrote if nothing was measured."""
        if len(times) < 2:
            raise harness.Failed(f"nothing started:\n{self.scheduler.log()}\n{self.worker.log()}")


def main() -> None:
    """Measure, and print the table."""
    options, results = _options(), tables.Results()
    for _ in range(options.repeat):
        for kind in options.databases:
            for take, contenders in _questions(options):
                for contender in (one for one in contenders if one.name in options.contenders):
                    sample = results.measure(contender.name, kind, partial(take, contender, kind, options))
                    if sample is not None:
                        print(sample, file=sys.stderr)
    results.show(columns(options.burst), rows(results.samples, options.burst), options)


def _questions(options: argparse.Namespace) -> list[tuple[Any, Sequence[harness.Contender]]]:
    """Return the measurements, each with its contenders."""
    kept = (CRONZIMUS, CELERY)
    return [(_steady, kept), (_way, kept), *((partial(_burst, runs=runs), CONTENDERS) for runs in options.burst)]


def _options() -> argparse.Namespace:
    parser = harness.parser(__doc__, CONTENDERS, repeat=1, kinds=list(BROKERS))
    parser.add_argument("--jobs", type=int, default=100, metavar="N", help="jobs that fire every second")
    parser.add_argument("--apart", type=int, default=20, metavar="N", help="jobs in a second that fire one by one")
    parser.add_argument("--seconds", type=int, default=15, metavar="S")
    parser.add_argument("--burst", type=int, nargs="+", default=[2000, 5000], metavar="N", help="no-ops due at once")
    parser.add_argument("--slots", type=int, default=4, metavar="N", help="functions that a worker runs at once")
    return parser.parse_args()


@contextmanager
def _site(
    contender: harness.Contender, kind: str, slots: int, *, steady: int = 0, apart: bool = False, burst: int = 0
) -> Iterator[Site]:
    """Start the scheduler and the worker of a contender, with as many jobs that fire every second or by `go`."""
    contender.require()
    queue = f"bench-{secrets.token_hex(4)}"
    with (
        BROKERS[kind](queue) as broker,
        PostgreSQL() as database,
        tempfile.TemporaryDirectory(prefix="cronzimus-bench-") as starts,
    ):
        database.broker = broker.url  # type: ignore[attr-defined]
        harness.call(contender, database, "prepare", queue=queue, steady=steady, apart=apart, burst=burst)
        start = partial(harness.running, contender.module, database, starts=starts, endless=True)
        options = {"keeps": False} if contender is CLOSING else {}
        with start("worker", queue=queue, slots=slots, **options) as worker:
            worker.wait_for("ready")
            with start("scheduler", queue=queue, steady=steady, apart=apart) as scheduler:
                scheduler.wait_for("ready")
                yield Site(database, queue, scheduler, worker, Path(starts))
                scheduler.stop()
                worker.stop()


# --- steady load -----------------------------------------------------------------------------------------------------


def _steady(contender: harness.Contender, kind: str, options: argparse.Namespace) -> Steady:
    with _site(contender, kind, options.slots, steady=options.jobs) as site:
        first = math.ceil(time.time()) + WARM_UP
        time.sleep(first + options.seconds - time.time())
        site.check()
        memory = [harness.memory_of([process.pid]) for process in (site.scheduler, site.worker)]
        time.sleep(REST)
        lags, happened, _ = counted(_noted(site.starts, "starts"), first, options.seconds)
        site.require(lags)
    return Steady(
        contender.name, kind, p50=median(lags), p99=tables.percentile(lags, 99),
        happened=happened / (options.jobs * options.seconds), scheduler_mib=memory[0], worker_mib=memory[1],
    )  # fmt: skip


def _noted(directory: Path, kind: str) -> list[tuple[str, float]]:
    lines = [line.split() for path in directory.glob(f"{kind}-*") for line in path.read_text().splitlines()]
    return [(tag, float(at)) for tag, at in lines]


def _way(contender: harness.Contender, kind: str, options: argparse.Namespace) -> Way:
    with _site(contender, kind, options.slots, steady=options.apart, apart=True) as site:
        time.sleep(WARM_UP)
        first = time.time()
        time.sleep(options.seconds)
        site.check()
        until = time.time()
        time.sleep(REST)
        started, published = _noted(site.starts, "starts"), _noted(site.starts, "published")
        if contender is CRONZIMUS:
            published = _by_job(site.database, published)
        ways = _ways([one for one in published if first <= one[1] < until], started)
        site.require(ways)
    return Way(contender.name, kind, p50=median(ways), p99=tables.percentile(ways, 99))


def _by_job(database: PostgreSQL, published: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    with database.connected() as connection:
        jobs = {str(run): job for run, job in connection.execute("SELECT id, job_id FROM cronzimus_run").fetchall()}
    return [(jobs[run], at) for run, at in published if run in jobs]


def _ways(published: Sequence[tuple[str, float]], started: Sequence[tuple[str, float]]) -> list[float]:
    """Return how long it took from each publication to the next start of the same job."""
    starts: Mapping[str, list[float]] = defaultdict(list)
    for tag, at in sorted(started, key=lambda one: one[1]):
        starts[tag].append(at)
    found = (next((start for start in starts[tag] if start >= at), None) for tag, at in published)
    return [start - at for start, (_, at) in zip(found, published, strict=True) if start is not None]


# --- throughput ------------------------------------------------------------------------------------------------------


def _burst(contender: harness.Contender, kind: str, options: argparse.Namespace, *, runs: int) -> Burst:
    with _site(contender, kind, options.slots, burst=runs) as site:
        time.sleep(WARM_UP)
        before, backends = site.cpu(), harness.Backends(site.database)
        starts = str(site.starts)
        with harness.running(contender.module, site.database, "go", starts=starts, queue=site.queue, burst=runs) as go:
            began, used = go.wait_for("began"), go.cpu()
            seconds = _until_recorded(runs, site, RESULTS[contender.module], backends) - began
            used = go.cpu() - used
        cpu = [now - then for now, then in zip(site.cpu(), before, strict=True)]
    return Burst(
        contender.name, kind, runs, rate=runs / seconds,
        scheduler_cpu=(cpu[0] if contender is CRONZIMUS else used) / runs * 1000,
        worker_cpu=cpu[1] / runs * 1000, server_cpu=backends.cpu_seconds / runs * 1000,
    )  # fmt: skip


def _until_recorded(runs: int, site: Site, question: str, backends: harness.Backends) -> float:
    """Return the monotonic time at which as many results were on record."""
    until = time.monotonic() + harness.TIMEOUT
    with site.database.watching(question) as results:
        while (found := results()) < runs:
            time.sleep(LOOK)
            backends.look()
            site.check()
            if time.monotonic() > until:
                raise harness.Failed(f"{found} of {runs} results after {harness.TIMEOUT:.0f} s")
    ended = time.monotonic()
    backends.look()
    return ended


# --- the table -------------------------------------------------------------------------------------------------------


def columns(bursts: Sequence[int]) -> list[str]:
    """Return the heads of the columns."""
    return [
        "contender", "broker", "publish to call, ms: p50, p99", "start delay, ms: p50, p99", "happened",
        *(f"runs/s of {runs:,}" for runs in bursts),
        "CPU-s for 1,000: scheduler", "worker", "PostgreSQL", "MiB: scheduler", "worker",
    ]  # fmt: skip


def rows(samples: Sequence[Steady | Way | Burst], bursts: Sequence[int]) -> list[list[str]]:
    """Return a row for each contender on each broker: medians over the rounds. CPU is that of the largest burst."""
    return [_row(group, bursts) for group in tables.grouped(samples)]


def _row(group: Sequence[Any], bursts: Sequence[int]) -> list[str]:
    def middle(kind: type, name: str, show: Callable[[float], str], runs: int = 0) -> str:
        found = [getattr(one, name) for one in group if isinstance(one, kind) and getattr(one, "runs", 0) == runs]
        return show(median(found)) if found else "–"

    def both(kind: type) -> str:
        return ", ".join(middle(kind, name, tables.ms) for name in ("p50", "p99")).replace("–, –", "–")

    costs = [middle(Burst, f"{part}_cpu", "{:.2f}".format, bursts[-1]) for part in ("scheduler", "worker", "server")]
    if group[0].contender == CLOSING.name:
        costs[-1] = "–"  # its processes end too soon to be looked at
    return [
        group[0].contender, group[0].database,
        *(both(kind) for kind in (Way, Steady)),
        middle(Steady, "happened", "{:.1%}".format),
        *(middle(Burst, "rate", "{:,.0f}".format, runs) for runs in bursts), *costs,
        *(middle(Steady, f"{part}_mib", "{:.0f}".format) for part in ("scheduler", "worker")),
    ]  # fmt: skip


if __name__ == "__main__":
    harness.command(main)
