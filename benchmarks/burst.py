"""Burst: many jobs due at once, until each has run and its run is committed, beside django-apscheduler in the same run.

Each measurement is a process of its own on a database of its own, with the jobs put in beforehand; docs/performance.md
says how to read the table. Nothing here imports Django: the kernel counts a parent's memory at the fork as its child's.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(ROOT))

from benchmarks.burst_databases import KINDS, Database, Unavailable  # noqa: E402

TIMEOUT = 300.0
"""Seconds that one measurement may take."""
LOOK = (0.002, 0.05)
"""Seconds between two looks of the observer: the fewest and the most. In between, a twentieth of what is left."""


@dataclass(frozen=True)
class Contender:
    """Who runs the jobs: its module, and the questions to the database how many runs are finished, and how many are."""

    name: str
    module: str
    finished: str
    total: str
    pinned: bool = False


_APSCHEDULER = {
    "module": "benchmarks.burst_apscheduler",
    "finished": "SELECT count(*) FROM django_apscheduler_djangojobexecution WHERE status = 'Executed'",
    "total": "SELECT count(*) FROM django_apscheduler_djangojobexecution",
}
PEER = "django-apscheduler"
CONTENDERS = (
    Contender(
        "cronzimus",
        "benchmarks.burst_cronzimus",
        "SELECT count(*) FROM jobs_run WHERE status = 'succeeded'",
        "SELECT count(*) FROM jobs_run",
    ),
    Contender(PEER, **_APSCHEDULER),
    Contender(f"{PEER}, one core", **_APSCHEDULER, pinned=True),
)


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


class Failed(Exception):
    """A measurement did not come to its end."""


def main() -> None:
    """Measure, print the table, and write the samples where `--json` says."""
    options = _options()
    samples: list[Sample] = []
    for round_number in range(1, options.repeat + 1):
        for kind in list(options.databases):
            for jobs in options.jobs:
                try:
                    samples += _round(kind, jobs, f"round {round_number}: ")
                except Unavailable as reason:
                    print(f"{kind}: skipped, {reason}", file=sys.stderr)
                    options.databases.remove(kind)
                    break
    print("\n".join(table(samples)))
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10000], metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="TIMES", help="medians are of so many (default: 3)")
    parser.add_argument("--databases", nargs="+", choices=sorted(KINDS), default=["sqlite", "postgresql"])
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    options = parser.parse_args()
    if min(*options.jobs, options.repeat) < 1:
        parser.error("--jobs and --repeat are numbers from 1")
    options.databases = list(dict.fromkeys(options.databases))
    return options


def _round(kind: str, jobs: int, prefix: str) -> Iterator[Sample]:
    """Measure every contender once."""
    for contender in CONTENDERS:
        with KINDS[kind]() as database:
            sample = measure(contender, database, jobs)
        print(f"{prefix}{kind}, {jobs} jobs, {contender.name}: {jobs / sample.seconds:,.0f} runs/s", file=sys.stderr)
        yield sample


# --- one measurement -------------------------------------------------------------------------------------------------


def measure(contender: Contender, database: Database, jobs: int) -> Sample:
    """Put the jobs in, start the scheduler, and time it until the database has every run as finished.

    Raises `Failed` with what the scheduler wrote if it ends before, takes too long, or ran a job twice.
    """
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", contender.module]
        environment = _environment(database)
        if subprocess.run(
            [*command, "prepare", str(jobs)], cwd=ROOT, env=environment, stderr=log, check=False
        ).returncode:
            raise Failed(f"{contender.name} could not be prepared:\n{_text(log)}")
        with _child([*command, "run"], environment, log, pinned=contender.pinned) as child:
            finished_at = _observe(child, contender, database, jobs)
            ready_at, usage = child.ready_at(), child.stop()
        if (total := database.count(contender.total)) != jobs:
            raise Failed(f"{contender.name} has {total} runs on record, not {jobs}:\n{_text(log)}")
    return Sample(
        contender.name, database.kind, jobs,
        seconds=finished_at - ready_at,
        process_seconds=finished_at - child.started_at,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
    )  # fmt: skip


def _environment(database: Database) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    return kept | {
        "DATABASE_URL": database.url, "LOG_LEVEL": "WARNING", "SECRET_KEY": "benchmark", "TIME_ZONE": "UTC",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip


class Child:
    """A scheduler's process, which tells through a pipe when its scheduler has started."""

    def __init__(self, process: subprocess.Popen[bytes], started_at: float, ready: int, log: IO[bytes]) -> None:
        """Take over a process that was started at the monotonic time `started_at`."""
        self.started_at = started_at
        self.log = log
        self._process = process
        self._ready = ready

    def ready_at(self) -> float:
        """Return the monotonic time at which its scheduler was started."""
        return float(os.read(self._ready, 64))

    def check(self) -> None:
        """Raise `Failed` if it has ended by itself, or takes too long."""
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise Failed(f"the scheduler has ended:\n{_text(self.log)}")
        if time.monotonic() - self.started_at > TIMEOUT:
            raise Failed(f"not finished after {TIMEOUT:.0f} s:\n{_text(self.log)}")

    def stop(self) -> Any:
        """End it, and return what it used."""
        self._process.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return usage

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ready)


@contextmanager
def _child(command: Sequence[str], environment: dict[str, str], log: IO[bytes], *, pinned: bool) -> Iterator[Child]:
    ready, told = os.pipe()
    cores = os.sched_getaffinity(0)
    started_at = time.monotonic()
    if pinned:
        # A child inherits what its parent may run on.
        os.sched_setaffinity(0, {max(cores)})
    try:
        process = subprocess.Popen([*command, str(told)], cwd=ROOT, env=environment, stderr=log, pass_fds=[told])
    finally:
        os.sched_setaffinity(0, cores)
        os.close(told)
    child = Child(process, started_at, ready, log)
    try:
        yield child
    finally:
        child.kill()


def _observe(child: Child, contender: Contender, database: Database, jobs: int) -> float:
    """Look into the database until it has `jobs` finished runs; return the monotonic time of the look that saw them.

    The looks come closer as the end does: they disturb little, and find the end within a twentieth of what was left.
    """
    first_at, last = None, 0.0
    with database.watching(contender.finished) as count:
        while (done := count()) < jobs:
            last = time.monotonic()
            child.check()
            first_at = last if first_at is None and done else first_at
            time.sleep(_pause(jobs, done, last - (first_at or last)))
    return time.monotonic()


def _pause(jobs: int, done: int, elapsed: float) -> float:
    left = elapsed * (jobs - done) / done if done else 0.0
    return min(max(left / 20, LOOK[0]), LOOK[1])


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")[-4000:]


# --- the table -------------------------------------------------------------------------------------------------------


def table(samples: Sequence[Sample]) -> list[str]:
    """Return the lines of a Markdown table: medians, and ratios to the better of django-apscheduler's settings."""
    lines = [
        "| contender | database | jobs | runs/s (min–max) | × peer | from process start | × peer | CPU s | peak MiB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for key in dict.fromkeys((sample.database, sample.jobs) for sample in samples):
        group = [sample for sample in samples if (sample.database, sample.jobs) == key]
        lines += [_line(name, group) for name in dict.fromkeys(sample.contender for sample in group)]
    return lines


def _line(name: str, group: Sequence[Sample]) -> str:
    mine = [sample for sample in group if sample.contender == name]
    jobs, database = mine[0].jobs, mine[0].database
    rates = [jobs / sample.seconds for sample in mine]
    return (
        f"| {name} | {database} | {jobs:,} | {median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) "
        f"| {_ratio(mine, group, lambda sample: sample.seconds):.1f} "
        f"| {median(jobs / sample.process_seconds for sample in mine):,.0f} "
        f"| {_ratio(mine, group, lambda sample: sample.process_seconds):.1f} "
        f"| {median(sample.cpu_seconds for sample in mine):.2f} | {median(sample.peak_mib for sample in mine):.1f} |"
    )


def _ratio(mine: Sequence[Sample], group: Sequence[Sample], seconds: Callable[[Sample], float]) -> float:
    peers = {sample.contender for sample in group if sample.contender.startswith(PEER)}
    best = min(median(seconds(sample) for sample in group if sample.contender == peer) for peer in peers)
    return best / median(seconds(sample) for sample in mine)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"burst: {failure}")
