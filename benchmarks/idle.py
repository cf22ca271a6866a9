"""Idle: what a scheduler costs with many stored jobs, none of them due, or one of them every second.

Each measurement is a process of its own on a database of its own, with the jobs put in beforehand; docs/performance.md
says how to read the table. Nothing here imports Django: the kernel counts a parent's memory at the fork as its child's.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a file, and not with -m
    sys.path.insert(0, str(ROOT))

from benchmarks.databases import KINDS, Unavailable  # noqa: E402

SETTLED = 3.0
"""Seconds after the start, or after the first fire, from which on the processor's time is counted, at the earliest."""
BUSY = 0.3
"""Seconds of the processor's time in one second of a scheduler that is still starting."""
PATIENCE = 120.0
"""Seconds that the first fire may take."""

CRONZIMUS = ("-m", "benchmarks.idle_cronzimus")
STORED = ("-m", "benchmarks.idle_apscheduler", "stored")
MEMORY = ("-m", "benchmarks.idle_apscheduler", "memory")


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


class Failed(Exception):
    """A measurement did not come to its end."""


def main() -> None:
    """Measure, and print the table."""
    options = _options()
    samples = []
    for jobs in options.jobs:
        for due in (False, True):
            for name, database, command in _contenders(options):
                try:
                    samples.append(_measure(name, database, command, jobs, due, options.seconds))
                except Unavailable as reason:
                    print(f"{database}: skipped, {reason}", file=sys.stderr)
                else:
                    print(_line(samples[-1]), file=sys.stderr)
    print("\n".join(table(samples)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--seconds", type=float, default=30, help="how long each is watched (default: 30)")
    parser.add_argument("--databases", nargs="+", choices=sorted(KINDS), default=["sqlite", "postgresql"])
    parser.add_argument("--alone", action="store_true", help="without the peers")
    options = parser.parse_args()
    if min(*options.jobs, options.seconds) < 1:
        parser.error("--jobs and --seconds are numbers from 1")
    return options


def _contenders(options: argparse.Namespace) -> Iterator[tuple[str, str, Sequence[str]]]:
    for database in dict.fromkeys(options.databases):
        yield "Cronzimus", database, CRONZIMUS
        if not options.alone:
            yield "django-apscheduler", database, STORED
    if not options.alone:
        yield "APScheduler", "memory", MEMORY


def _measure(name: str, kind: str, command: Sequence[str], jobs: int, due: bool, seconds: float) -> Sample:
    with (
        KINDS["sqlite" if kind == "memory" else kind]() as database,
        tempfile.NamedTemporaryFile("r") as marks,
        tempfile.TemporaryFile() as log,
    ):
        environment = _environment(database.url, marks.name)
        asked = (str(jobs), "due" if due else "none")
        prepared = subprocess.run(
            [sys.executable, *command, "prepare", *asked], cwd=ROOT, env=environment, stderr=log, check=False
        )
        if prepared.returncode:
            log.seek(0)
            raise Failed(f"{name} could not be prepared:\n{log.read().decode(errors='replace')[-4000:]}")
        with _process([sys.executable, *command, "run", *asked], environment, log) as (process, started_at):
            first_fire = _first_mark(process, Path(marks.name)) - started_at if due else None
            _settle(process.pid)
            before, at = _cpu(process.pid), time.monotonic()
            time.sleep(seconds)
            spent, watched = _cpu(process.pid) - before, time.monotonic() - at
            peak = _peak(process.pid)
    return Sample(name, kind, jobs, due, first_fire, spent / watched * 60, peak)


def _environment(url: str, marks: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")}
    return kept | {
        "DATABASE_URL": url, "LOG_LEVEL": "WARNING", "SECRET_KEY": "benchmark", "TIME_ZONE": "UTC",
        "PYTHONPATH": str(ROOT), "IDLE_MARKS": marks,
    }  # fmt: skip


@contextmanager
def _process(
    command: Sequence[str], environment: dict[str, str], log: object
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    started_at = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)  # type: ignore[call-overload]
    try:
        yield process, started_at
        if process.poll() is not None:
            raise Failed(f"the scheduler has ended with {process.returncode}")
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _first_mark(process: subprocess.Popen[bytes], marks: Path) -> float:
    deadline = time.monotonic() + PATIENCE
    while not (text := marks.read_text()).endswith("\n"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed("the job that is due did not fire")
        time.sleep(0.005)
    return float(text.partition("\n")[0])


def _settle(pid: int) -> None:
    time.sleep(SETTLED)
    before = _cpu(pid)
    while True:
        time.sleep(1)
        now = _cpu(pid)
        if now - before < BUSY:
            return
        before = now


def _cpu(pid: int) -> float:
    # Linux's number for the clock of another process's time on the processors (clock_getcpuclockid(3)).
    return time.clock_gettime(~pid << 3 | 2)


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def table(samples: Sequence[Sample]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        "| contender | database | jobs | due | first fire, s | CPU-s a minute | peak MiB |",
        "|---|---|---:|---|---:|---:|---:|",
        *map(_line, samples),
    ]


def _line(sample: Sample) -> str:
    fire = "" if sample.first_fire is None else f"{sample.first_fire:.2f}"
    return (
        f"| {sample.contender} | {sample.database} | {sample.jobs:,} | {'one a second' if sample.due else 'none'} "
        f"| {fire} | {sample.cpu_per_minute:.2f} | {sample.peak_mib:.0f} |"
    )


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"idle: {failure}")
