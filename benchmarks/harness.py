"""Start, observe and end a process on a database of its own: the base of all benchmarks.

Nothing here imports Django: the kernel counts a parent's memory at the fork as its child's.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.databases import PLACES, Database, Unavailable

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300.0
"""Seconds that one measurement may take."""
PREPARATION = 600.0
"""Seconds that putting the jobs in may take, or a history."""
START = 60.0
"""Seconds that a process has to start."""
END = 60.0
"""Seconds that a process has to end, once it was told to: Celery finishes what it has fetched."""
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class Failed(Exception):
    """A measurement failed."""


@dataclass(frozen=True)
class Contender:
    """A contender: its module in `benchmarks.contenders`, the databases that it can use, and its package."""

    name: str
    module: str
    places: tuple[str, ...]
    package: str = "django"
    pinned: bool = False

    def require(self) -> None:
        """Raise `Unavailable` if its package is not installed."""
        if importlib.util.find_spec(self.package) is None:
            raise Unavailable(f"{self.package} is not installed; `make bench` installs it")


BOTH = ("sqlite", "postgresql")
CRONZIMUS = Contender("cronzimus", "cronzimus", BOTH)
DJANGO_APSCHEDULER = Contender("django-apscheduler", "django_apscheduler", BOTH)
ONE_CORE = Contender("django-apscheduler, one core", "django_apscheduler", BOTH, pinned=True)
APSCHEDULER = Contender("apscheduler", "apscheduler", ("memory", *BOTH), "sqlalchemy")
PROCRASTINATE = Contender("procrastinate", "procrastinate", ("postgresql",), "procrastinate")
CELERY = Contender("celery", "celery", ("redis",), "celery")


@dataclass(frozen=True)
class Usage:
    """The resources of a process until its end: seconds of CPU, with its children's, and MiB of the largest of them."""

    cpu_seconds: float
    peak_mib: float


class Child:
    """A process under measurement, which reports through a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], started_at: float, pipe: int, log: IO[bytes]) -> None:
        """Take over a process that was started at the monotonic time `started_at`."""
        self.endless = False
        self.started_at = started_at
        self.pid = process.pid
        self.usage: Usage | None = None
        self._process = process
        self._input: IO[bytes] = process.stdin  # type: ignore[assignment]
        self._pipe = pipe
        self._log = log
        self._rest = b""

    def wait_for(self, word: str, seconds: float = START) -> float:
        """Return the monotonic time that it reported with `word`. Raises `Failed` if it does not come in time."""
        until = time.monotonic() + seconds
        while True:
            line = self.line(until - time.monotonic())
            if line is None:
                self.check()
                raise Failed(f"no word that it is {word} after {seconds:.0f} s:\n{self.log()}")
            if line[0] == word:
                return float(line[-1])

    def line(self, seconds: float) -> list[str] | None:
        """Return the words of its next report; None if none comes within `seconds`."""
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            if not select.select([self._pipe], [], [], max(until - time.monotonic(), 0))[0]:
                return None
            read = os.read(self._pipe, 65536)
            if not read:
                return None
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().split()

    def ask(self, line: str) -> None:
        """Write a line to its standard input."""
        self._input.write(f"{line}\n".encode())
        self._input.flush()

    def check(self) -> None:
        """Raise `Failed` if it has ended by itself, or takes too long."""
        if self.usage is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise Failed(f"it has ended:\n{self.log()}")
        if not self.endless and time.monotonic() - self.started_at > TIMEOUT:
            raise Failed(f"not finished after {TIMEOUT:.0f} s:\n{self.log()}")

    def cpu(self) -> float:
        """Return the seconds of CPU that it and its children have used so far."""
        return cpu_of([self.pid])

    def stop(self) -> Usage:
        """End it, and return its resources."""
        self._process.send_signal(signal.SIGTERM)
        until = time.monotonic() + END
        while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > until:
                self._kill_all()
                break
            time.sleep(0.01)
        return self._reap()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self.usage is None:
            self._kill_all()
            self._reap()
        self._input.close()
        os.close(self._pipe)

    def log(self) -> str:
        """Return the end of its log."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]

    def _kill_all(self) -> None:
        # It leads a process group of its own, so this ends its children, too.
        os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> Usage:
        _, status, used = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.usage = Usage(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
        return self.usage


def call(contender: Contender, database: Database, action: str, **arguments: Any) -> str:
    """Do `action` of the contender in a process of its own; return its output. Raises `Failed` with its log."""
    command = [*_command(contender.module), action, json.dumps(arguments)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(database), capture_output=True, timeout=PREPARATION, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{contender.name} did not {action} within {PREPARATION:.0f} s") from error
    if done.returncode:
        raise Failed(f"{contender.name} could not {action}:\n{done.stderr.decode(errors='replace')[-4000:]}")
    return done.stdout.decode()


@contextmanager
def running(
    module: str,
    database: Database,
    action: str,
    *,
    pinned: bool = False,
    endless: bool = False,
    starts: str = "",
    **arguments: Any,
) -> Iterator[Child]:
    """Start a contender's `action`, which ends with the `with` block.

    `pinned`, it has one core. `endless`, it may take as long as it likes. `starts` is a directory, into which it writes
    what started when.
    """
    pipe, told = os.pipe()
    environment = _environment(database) | {"BENCH_PIPE": str(told)} | ({"BENCH_STARTS": starts} if starts else {})
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryFile() as log:
        started_at = time.monotonic()
        if pinned:
            # A child inherits what its parent may run on.
            os.sched_setaffinity(0, {max(cores)})
        try:
            process = subprocess.Popen(
                [*_command(module), action, json.dumps(arguments)],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[told],
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.sched_setaffinity(0, cores)
            os.close(told)
        child = Child(process, started_at, pipe, log)
        child.endless = endless
        try:
            yield child
        finally:
            child.kill()


def _command(module: str) -> Sequence[str]:
    return [sys.executable, "-m", f"benchmarks.contenders.{module}"]


def _environment(database: Database) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    results, broker = getattr(database, "results", ""), getattr(database, "broker", "")
    return kept | ({"CELERY_BROKER_URL": broker} if broker else {}) | {
        "DATABASE_URL": database.url, "BENCH_RESULTS": results, "BENCH_PLACE": database.kind, "LOG_LEVEL": "WARNING",
        "SECRET_KEY": "benchmark", "TIME_ZONE": "UTC", "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def free_port() -> int:
    """Return the number of a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for_port(port: int, path: str, check: Callable[[], object]) -> None:
    """Wait until a server on this machine answers a GET of `path`. `check` raises `Failed` if it has ended."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        check()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START)
        try:
            connection.request("GET", path)
            connection.getresponse().read()
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise Failed(f"no server answers on port {port} after {START:.0f} s")


# --- the CPU of processes --------------------------------------------------------------------------------------------


def process_tools() -> Any:
    """Return the module that measures processes. Raises `Unavailable` if it is not installed."""
    try:
        import psutil
    except ImportError as error:
        raise Unavailable("psutil is not installed; `make bench` installs it") from error
    return psutil


def cpu_of(pids: Sequence[int]) -> float:
    """Return the seconds of CPU of processes and their children; ended processes count as 0."""
    psutil = process_tools()
    total = 0.0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for member in family:
            try:
                used = member.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system + (used.children_user + used.children_system)
    return total


def memory_of(pids: Sequence[int]) -> float:
    """Return the MiB of memory that processes and all that they started take; shared pages count once."""
    psutil = process_tools()
    family = [member for pid in pids for member in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
    return sum(member.memory_full_info().pss for member in family) / 2**20


class Backends:
    """The CPU of a server's processes for one database, read now and then, because they come and go."""

    def __init__(self, database: Database) -> None:
        """Begin to count."""
        self._database = database
        self._used: dict[int, tuple[float, float]] = {}
        self.look()

    def look(self) -> None:
        """Read the CPU of each."""
        for pid in self._database.backends():
            used = cpu_of([pid])
            first, _ = self._used.get(pid, (used, used))
            self._used[pid] = (first, used)

    @property
    def cpu_seconds(self) -> float:
        """The seconds used since the beginning, or since each was first seen."""
        return sum(last - first for first, last in self._used.values())


# --- the command line ------------------------------------------------------------------------------------------------


def command(main: Callable[[], None]) -> None:
    """Call `main`, the whole of a script. SIGTERM ends it like Ctrl-C, with its cleanup."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        main()
    except (Failed, Unavailable) as reason:
        sys.exit(str(reason))


def parser(
    description: str | None, contenders: Sequence[Contender], repeat: int, kinds: Sequence[str] = sorted(PLACES)
) -> argparse.ArgumentParser:
    """Return the options that the benchmarks share; `repeat` is the default number of rounds."""
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    names = list(dict.fromkeys(contender.name for contender in contenders))
    made.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    made.add_argument("--databases", nargs="+", choices=kinds, default=kinds, metavar="KIND")
    made.add_argument("--repeat", type=int, default=repeat, metavar="TIMES", help="rounds (default: %(default)s)")
    made.add_argument("--quick", dest="repeat", action="store_const", const=1, help="one round")
    made.add_argument("--json", metavar="FILE", help="write every sample to FILE")
    return made


def pairs(contenders: Sequence[Contender], options: argparse.Namespace) -> Iterator[tuple[Contender, str]]:
    """Return the chosen contenders, each with each of its databases."""
    for contender in contenders:
        if contender.name in options.contenders:
            yield from ((contender, kind) for kind in contender.places if kind in options.databases)
