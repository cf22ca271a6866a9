"""A test's own databases and processes, and readers of their state."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.waiting import let_pass, until

from .checker import Mark, Row

__all__ = ["ROOT", "Process", "Site", "Web", "instant", "let_pass", "until"]

ROOT = Path(__file__).parents[2]


class Process:
    """A process of the test's own; its log is kept in a file."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        """Start `command`."""
        self.log = log
        with log.open("wb") as file:
            self.popen = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def logged(self, pattern: str) -> re.Match[str] | None:
        """Return the first match of `pattern` in its log."""
        return re.search(pattern, self.log.read_text(errors="replace"))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait until it ends, and return its exit status."""
        until(lambda: not self.alive, seconds, f"the end of {self.log.stem}")
        return int(self.popen.returncode)

    def force(self) -> int:
        """End a scheduler at once, and return its exit status. Two signals at the same moment would be one."""
        self.send(signal.SIGTERM)
        until(lambda: self.logged("draining") or not self.alive, 20, "the first signal")
        self.send(signal.SIGTERM)
        return self.wait(20)

    def end(self) -> None:
        """Kill it."""
        if self.alive:
            self.popen.kill()
        self.popen.wait(timeout=60)


class Site:
    """A Cronzimus on a database of its own, with the processes that a test starts on it."""

    def __init__(self, url: str, folder: Path, jobs: Sequence[dict[str, Any]] = ()) -> None:
        """Use the migrated database at `url`, and `folder` for logs and marks; `jobs` are declared."""
        self.url = url
        self.folder = folder
        self.marks_file = folder / "marks"
        self.jobs = list(jobs)
        self.variables: dict[str, str] = {}
        """Variables that its processes get in addition."""
        self.processes: list[Process] = []

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the processes."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
            "SECRET_KEY": "only-for-tests",
            "DEBUG": "true",
            "DATABASE_URL": self.url,
            "JOB_MODULES": "tests.job_functions",
            "JOBS": json.dumps(self.jobs),
            "TIME_ZONE": "UTC",
            "PYTHONUNBUFFERED": "1",
            **self.variables,
        }

    def job(self, job_id: str, seconds: float = 0, **trigger: Any) -> dict[str, Any]:
        """Return a job that leaves a mark and then takes `seconds`; it fires every second, or as `trigger` says."""
        rule = trigger or {"trigger": "interval", "seconds": 1}
        args, kwargs = [str(self.marks_file)], {"seconds": seconds}
        return {"id": job_id, "func": "tests:mark", "args": args, "kwargs": kwargs, **rule}

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *command: str, **environment: str) -> Process:
        """Start Python with `command`."""
        log = self.folder / f"process-{len(self.processes)}.log"
        process = Process([sys.executable, *command], {**self.environment, **environment}, log)
        self.processes.append(process)
        return process

    def scheduler(self, threads: int = 10, **environment: str) -> Process:
        """Start a scheduler, and return it when it is ready."""
        (process,) = self.schedulers(1, threads, **environment)
        return process

    def schedulers(self, count: int, threads: int = 10, **environment: str) -> list[Process]:
        """Start several schedulers at the same moment."""
        command = ("manage.py", "runscheduler", f"--threads={threads}", "--processes=1")
        processes = [self.start(*command, **environment) for _ in range(count)]
        for process in processes:
            until(lambda p=process: p.logged("ready; its id is") or not p.alive, 30, "a scheduler's start")
            assert process.alive, process.log.read_text()
        return processes

    def web(self, workers: int = 1, threads: int = 2, **environment: str) -> Web:
        """Start the web, and return it when it answers."""
        size = (f"--workers={workers}", f"--threads={threads}", "--backlog=64")
        process = self.start("-m", "gunicorn", "cronzimus_site.wsgi", "--bind=127.0.0.1:0", *size, **environment)
        found = until(lambda: process.logged(r"Listening at: (http://127\.0\.0\.1:\d+)"), 30, "the web's start")
        web = Web(found[1])
        until(lambda: web.answers("/api/health"), 30, "the web's first answer")
        return web

    def end(self) -> None:
        """End every process that is still there."""
        for process in self.processes:
            process.end()

    def logs(self, processes: Sequence[Process] | None = None) -> str:
        """Return the ends of the logs of `processes`, or of all, for the diagnosis of a failure."""
        shown = self.processes if processes is None else processes
        return "\n".join(f"--- {p.log.name}\n{p.log.read_text(errors='replace')[-3000:]}" for p in shown)

    # --- the record ---------------------------------------------------------------------------------------------------

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of `sql`, read through a connection of its own."""
        parts = urlsplit(self.url)
        if parts.scheme == "sqlite":
            with closing(sqlite3.connect(parts.path[1:], timeout=20)) as connection:
                return connection.execute(sql).fetchall()
        with psycopg.connect(self.url, autocommit=True, options="-c timezone=UTC") as connection:
            return connection.execute(sql).fetchall()

    def rows(self) -> list[Row]:
        """Return the runs."""
        columns = "job_id, scheduled_time, status, fire_times, started_at, finished_at, attempt, dispatches"
        found = self.query(f"SELECT {columns} FROM cronzimus_run ORDER BY id")  # noqa: S608
        return [
            Row(
                job_id=job_id, scheduled_time=instant(at), status=status, fire_times=count, started_at=instant(start),
                finished_at=instant(end), attempt=attempt, dispatches=dispatches or 0,
            )
            for job_id, at, status, count, start, end, attempt, dispatches in found
        ]  # fmt: skip

    def statuses(self, job_id: str) -> list[str]:
        """Return the statuses of the runs of a job, the oldest first."""
        return [row.status for row in self.rows() if row.job_id == job_id]

    def marks(self) -> list[Mark]:
        """Return the calls that the functions wrote down."""
        return list(self._read_marks()) if self.marks_file.exists() else []

    def _read_marks(self) -> Iterator[Mark]:
        ahead = max(time.time() - time.monotonic() for _ in range(3))  # a stall between the two makes it less
        for line in self.marks_file.read_text().splitlines():
            job_id, scheduled_time, monotonic, pid, clock, attempt = line.split()
            yield Mark(
                job_id=job_id, scheduled_time=datetime.fromisoformat(scheduled_time),
                at=datetime.fromtimestamp(ahead + float(monotonic), UTC), pid=int(pid),
                clock=datetime.fromtimestamp(float(clock), UTC), attempt=int(attempt),
            )  # fmt: skip

    def calls(self, job_id: str) -> list[Mark]:
        """Return the calls of a job."""
        return [mark for mark in self.marks() if mark.job_id == job_id]

    def next_run_times(self) -> dict[str, datetime]:
        """Return when each job is due next."""
        return {job_id: instant(at) for job_id, at in self.query("SELECT id, next_run_time FROM cronzimus_job")}


def instant(value: Any) -> Any:
    """Return a column with an instant, aware, in UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Web:
    """A client of an HTTP server."""

    def __init__(self, address: str) -> None:
        """Talk to `address`."""
        self.address = address

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of the answer; raises unless it is a success."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read())

    def answers(self, path: str) -> bool:
        """Tell whether `path` is answered with success."""
        try:
            self.ask("GET", path)
        except (OSError, urllib.error.URLError):
            return False
        return True
