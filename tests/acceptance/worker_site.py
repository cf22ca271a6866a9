"""A site whose jobs run on Celery workers. Tests share it: each has a queue and names of jobs of its own."""

from __future__ import annotations

import itertools
import signal
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .brokers import Broker, proxy
from .checker import UNSUCCESSFUL, Mark, Row, harmed, problems
from .hands import Hands
from .support import Process, Site, until

IN_TIME = pytest.mark.timeout(240, func_only=True)
"""Bounds each test of workers, with the judgement of its history, but without the start of a site that tests share.

On an idle machine each takes less than a minute; on one that stalls, the starts of Django alone may take that long.
"""
STARTED = 120.0
"""Seconds in which a worker is ready on a busy machine."""
LOST_SECONDS = 25.0
"""Seconds in which the runs of a dead worker are lost."""
MODULES = "tests.job_functions,tests.process_functions"
COLUMNS = (
    "id, status, reason, error, output, scheduler_id, dispatch_id, dispatches, dispatched_at, started_at, finished_at, "
    "progress_done, attempt"
)
"""The columns of a run that tests read."""


class WorkerSite:
    """A site, a broker with a queue, and the workers that serve it."""

    def __init__(self, site: Site, url: str) -> None:
        """Let the schedulers of `site` send runs to workers over the broker at `url`."""
        self.site, self.url = site, url
        site.variables |= {"CELERY_BROKER_URL": url, "JOB_MODULES": MODULES}
        self.hands = Hands(site.environment, site.folder / "hands.log")
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._shared: Broker | None = None
        self._shared_worker: Process | None = None
        self.begin()

    # --- a test's part -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Give a test its own queue, and its own names of jobs."""
        self.prefix = f"t{next(self._numbers)}-"
        self.broker = Broker(self.url)
        self._first = len(self.site.processes)
        self._allowed: dict[str, set[str]] = defaultdict(set)
        self._messages_may_be_lost = False

    def may_be(self, status: str, *job_ids: str) -> None:
        """Allow the runs of jobs to end as "failed", "timed_out" or "lost"."""
        assert status in UNSUCCESSFUL
        self._allowed[status] |= {self.prefix + job_id for job_id in job_ids}

    def messages_may_be_lost(self) -> None:
        """Allow messages to be lost, and their runs to be sent again. Tests that do not say so prove that none is."""
        self._messages_may_be_lost = True

    def finish(self) -> None:
        """End the workers and the jobs of a test."""
        self.do(f"for job in Job.objects.filter(id__startswith='{self.prefix}'): services.remove_job(job.pk, now=now)")
        for process in self.site.processes[self._first :]:
            if process is not self._shared_worker:
                process.end()
        if self.broker is not self._shared:
            self.broker.drop()

    def use_shared_worker(self) -> None:
        """Use a running worker with four slots. The test must not harm it."""
        if self._shared is None:
            self._shared = self.broker
            self._shared_worker = self.worker(slots=4, name="shared")
        self.broker = self._shared

    def start_scheduler(self) -> None:
        """Start a scheduler with a proxy, `between`, in front of its broker."""
        self.between = self._stack.enter_context(proxy(*self.broker.address))
        self.running_scheduler = self.site.scheduler(CELERY_BROKER_URL=self.broker.through(self.between.port))

    def end(self) -> None:
        """End every process, and remove the queues."""
        self.hands.end()
        self.site.end()
        self._stack.close()
        for one in {self.broker, self._shared} - {None}:
            one.drop()

    # --- its jobs ----------------------------------------------------------------------------------------------------

    def add(self, *jobs: dict[str, Any]) -> None:
        """Add jobs."""
        self.do(f"for job in {list(jobs)!r}: services.add_job(job, now=now)")

    def local(self, job_id: str) -> dict[str, Any]:
        """Return a job of the scheduler itself that leaves a mark every second."""
        return self.site.job(self.prefix + job_id)

    def job(self, job_id: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
        """Return a job of a worker that leaves a mark every second, and then takes `seconds`."""
        job = self.site.job(self.prefix + job_id, seconds)
        return {**job, "executor": "celery", "queue": self.broker.queue, **fields}

    def once(self, job_id: str, func: str, *args: Any, **fields: Any) -> dict[str, Any]:
        """Return a job of a worker that runs once, at once. The function takes `marks`, where it leaves a mark."""
        return {
            "id": self.prefix + job_id, "func": func, "args": list(args), "trigger": "interval", "seconds": 1,
            "kwargs": {"marks": str(self.site.marks_file)}, "max_runs": 1, "executor": "celery",
            "queue": self.broker.queue, **fields,
        }  # fmt: skip

    def do(self, code: str) -> None:
        """Call services, in a process of their own."""
        self.hands.do(code)

    def cancel(self, job_id: str) -> None:
        """Cancel the newest run of a job."""
        self.do(f"services.cancel_run({self.run(job_id)['id']}, now=now)")

    def make_old(self, after: float = 0) -> None:
        """Let the time pass after which messages count as lost, for those that were sent `after` seconds ago."""
        assert self._messages_may_be_lost, "it would hide that a message is lost"
        self.do(
            f"Run.objects.filter(queue='{self.broker.queue}', status='queued', "
            f"dispatched_at__lte=now - timedelta(seconds={after}))"
            ".update(dispatched_at=now - timedelta(seconds=601))"
        )

    def settle(self, seconds: float = 30) -> None:
        """Stop the test's jobs, and wait until none of their runs is active, so that none is stuck.

        Where messages may be lost, it lets the time pass after which they are sent again.
        """
        self.do(f"Job.objects.filter(id__startswith='{self.prefix}').update(next_run_time=None)")
        active = f"SELECT 1 FROM cronzimus_run WHERE job_id LIKE '{self.prefix}%' AND status IN ('queued', 'running')"  # noqa: S608
        until(lambda: not self.site.query(active) or self._make_lost_old(), seconds, "the ends", pause=0.5)

    def _make_lost_old(self) -> None:
        if self._messages_may_be_lost:
            self.make_old()

    def logs(self) -> str:
        """Return the ends of the logs of a test's processes, and of the scheduler."""
        return self.site.logs([self.running_scheduler, *self.site.processes[self._first :]])

    def assert_good(self) -> None:
        """Check that each fire time is accounted for once, that each call is one that its row allows, and that no run
        came to harm other than the test allows.
        """
        self.settle()
        rows = self.rows()
        found = problems(rows, self.marks())
        found += harmed(rows, self._allowed, messages_may_be_lost=self._messages_may_be_lost)
        assert not found, "\n".join(found)

    # --- its workers -------------------------------------------------------------------------------------------------

    def worker(self, slots: int = 2, name: str = "worker", **environment: str) -> Process:
        """Start a worker, and return it when it is ready."""
        (process,) = self.workers(1, slots, name, **environment)
        return process

    def workers(self, count: int, slots: int = 2, name: str = "worker", **environment: str) -> list[Process]:
        """Start several workers at once."""
        processes = [self.start_worker(slots, name, **environment) for _ in range(count)]
        for process in processes:
            self.until_ready(process)
        return processes

    def until_ready(self, worker: Process) -> Process:
        """Return a worker when it is ready."""
        until(lambda: worker.logged(r"@\S+ ready\.") or not worker.alive, STARTED, "a worker's start")
        assert worker.alive, worker.log.read_text()
        return worker

    def start_worker(self, slots: int = 2, name: str = "worker", queues: str = "", **environment: str) -> Process:
        """Start a worker, by the script that people use: Python does not import from the current folder then.

        It serves the test's queue, or `queues`.
        """
        celery = str(Path(sys.executable).with_name("celery"))
        options = (
            "-Q",
            queues or self.broker.queue,
            "-c",
            str(slots),
            "-n",
            f"{name}@%h",
            f"--loglevel={environment.get('LOG_LEVEL', 'INFO')}",
        )
        return self.site.start(celery, "-A", "cronzimus_site", "worker", *options, **environment)

    def pretend_worker(self, slots: int) -> None:
        """Write the row of a worker that does not exist, so that schedulers send runs to the queue."""
        self.do(
            f"Worker.objects.create(id='{self.prefix}gone', name='gone', hostname='gone', pid=1, version='', "
            f"slots={slots}, queues=['{self.broker.queue}'], started_at=now, heartbeat_at=now, "
            "lease_until=now + timedelta(seconds=25))"
        )

    def living(self) -> list[str]:
        """Return the ids of the workers of the test's queue that have not stopped."""
        rows = self.site.query("SELECT id, queues FROM cronzimus_worker WHERE stopped_at IS NULL")
        return [worker_id for worker_id, queues in rows if self.broker.queue in str(queues)]

    def workers_of(self, job_id: str) -> set[str]:
        """Return the ids of the workers on which runs of a job succeeded."""
        rows = self.site.query(
            f"SELECT scheduler_id FROM cronzimus_run WHERE job_id = '{self.prefix}{job_id}' AND status = 'succeeded'"  # noqa: S608
        )
        return {worker_id for (worker_id,) in rows}

    # --- the record ---------------------------------------------------------------------------------------------------

    def run(self, job_id: str) -> dict[str, Any]:
        """Return the newest run of a job; an empty dictionary if it has none."""
        rows = self.site.query(
            f"SELECT {COLUMNS} FROM cronzimus_run WHERE job_id = '{self.prefix}{job_id}' ORDER BY id DESC LIMIT 1"  # noqa: S608
        )
        return dict(zip(COLUMNS.split(", "), rows[0], strict=True)) if rows else {}

    def until_status(self, job_id: str, *statuses: str, seconds: float = 20) -> dict[str, Any]:
        """Wait until the newest run of a job has one of `statuses`, and return it."""
        until(lambda: self.run(job_id).get("status") in statuses, seconds, f"{job_id} as {statuses}")
        return self.run(job_id)

    def until_published(self, job_id: str) -> dict[str, Any]:
        """Wait until the newest run of a job is on its way, and return it."""
        until(lambda: self.run(job_id).get("dispatched_at"), 15, f"the message for {job_id}")
        return self.run(job_id)

    def until_lost(self, job_id: str, since: float) -> dict[str, Any]:
        """Wait until the newest run of a job is lost: at most `LOST_SECONDS` since the monotonic time `since`."""
        left = since + LOST_SECONDS - time.monotonic()
        return self.until_status(job_id, "lost", seconds=left)

    def rows(self) -> list[Row]:
        """Return the runs of the test's jobs."""
        return [row for row in self.site.rows() if row.job_id.startswith(self.prefix)]

    def marks(self) -> list[Mark]:
        """Return the calls of the test's jobs."""
        return [mark for mark in self.site.marks() if mark.job_id.startswith(self.prefix)]

    def calls(self, job_id: str) -> list[Mark]:
        """Return the calls of a job."""
        return self.site.calls(self.prefix + job_id)


def stop(*processes: Process, seconds: float = 50) -> None:
    """Stop workers and schedulers, and check that each ends well."""
    for process in processes:
        process.send(signal.SIGTERM)
    assert [process.wait(seconds) for process in processes] == [0] * len(processes)
