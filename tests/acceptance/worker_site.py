"""A site whose jobs run on Celery workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .brokers import Broker, Proxy
from .support import Process, Site, until

STARTED = 40.0
"""Seconds in which a worker is ready on a busy machine."""
LOST_SECONDS = 25.0
"""Seconds in which the runs of a dead worker are lost."""


class WorkerSite:
    """A site, a queue on a broker, and the workers that serve it."""

    def __init__(self, site: Site, broker: Broker) -> None:
        """Have the schedulers of `site` send runs to workers through `broker`."""
        self.site, self.broker = site, broker
        site.variables["CELERY_BROKER_URL"] = broker.url

    def job(self, job_id: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
        """Return a job of a worker that leaves a mark every second, and then takes `seconds`."""
        return {**self.site.job(job_id, seconds), "executor": "celery", "queue": self.broker.queue, **fields}

    def once(self, job_id: str, func: str, *args: Any, **fields: Any) -> dict[str, Any]:
        """Return a job of a worker that runs once, at once."""
        return {
            "id": job_id, "func": func, "args": list(args), "trigger": "interval", "seconds": 1, "max_runs": 1,
            "executor": "celery", "queue": self.broker.queue, **fields,
        }  # fmt: skip

    def worker(self, slots: int = 2, name: str = "worker", **environment: str) -> Process:
        """Start a worker, and return it when it has said that it is there."""
        (process,) = self.workers(1, slots, name, **environment)
        return process

    def workers(self, count: int, slots: int = 2, name: str = "worker", **environment: str) -> list[Process]:
        """Start several workers at once."""
        options = ("-Q", self.broker.queue, "-c", str(slots), "-n", f"{name}@%h", "--loglevel=INFO")
        processes = [
            self.site.start("-m", "celery", "-A", "cronzimus_site", "worker", *options, **environment)
            for _ in range(count)
        ]
        for process in processes:
            until(lambda p=process: p.logged(r"@\S+ ready\.") or not p.alive, STARTED, "a worker's start")
            assert process.alive, process.log.read_text()
        return processes

    def run(self, job_id: str) -> dict[str, Any]:
        """Return the newest run of a job; an empty dictionary where it has none."""
        columns = (
            "id, status, reason, error, output, scheduler_id, dispatch_id, dispatches, dispatched_at, started_at, "
            "finished_at, progress_done"
        )
        rows = self.site.query(
            f"SELECT {columns} FROM cronzimus_run WHERE job_id = '{job_id}' ORDER BY id DESC LIMIT 1"  # noqa: S608
        )
        return dict(zip(columns.split(", "), rows[0], strict=True)) if rows else {}

    def until_status(self, job_id: str, *statuses: str, seconds: float = 20) -> dict[str, Any]:
        """Wait until the newest run of a job has one of `statuses`, and return it."""
        until(lambda: self.run(job_id).get("status") in statuses, seconds, f"{job_id} as {statuses}")
        return self.run(job_id)

    def do(self, code: str) -> None:
        """Call services in a process of their own."""
        prelude = "from datetime import UTC, datetime; from jobs import services; now = datetime.now(UTC); "
        assert self.site.start("manage.py", "shell", "-v0", "-c", prelude + code).wait(30) == 0

    def end(self) -> None:
        """End every process, and remove the queue."""
        self.site.end()
        self.broker.drop()


def stop(*processes: Process, seconds: float = 50) -> None:
    """Have workers and schedulers end in their own time; each says that it ended well."""
    for process in processes:
        process.send(signal.SIGTERM)
    assert [process.wait(seconds) for process in processes] == [0] * len(processes)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Have a proxy in front of a server."""
    made = Proxy(host, port)
    try:
        yield made
    finally:
        made.close()
