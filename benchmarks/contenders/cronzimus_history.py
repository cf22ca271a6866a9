"""Cronzimus on a long history: `prepare` writes it, `pages` times the pages and queries, `prune` deletes it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from benchmarks import child
from benchmarks.history_rows import BUSY, SPAN, insert_runs

TIMES = 7
"""Requests of each page, after one that does not count."""
SMALL = "job-00500"
"""A job with few runs; `BUSY` has a fifth of all."""
ACTIVE = 50
"""Runs that wait or run, beside the finished ones."""


def prepare(jobs: int, runs: int) -> None:
    """Make the database and fill it."""
    from django.core.management import call_command
    from django.db import connection

    from jobs.models import Job, Run

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    Job.objects.bulk_create(
        Job(
            id=f"job-{number:05}", name=f"Job {number}", func="benchmarks.functions:noop",
            trigger={"type": "interval", "hours": 1}, anchor=now, next_run_time=now + timedelta(hours=1),
            run_count=runs // jobs, failure_count=5, last_status="succeeded", last_run_at=now,
        )
        for number in range(jobs)
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(insert_runs(connection.vendor, jobs, runs, now))
    Run.objects.bulk_create(
        Run(
            job_id=f"job-{number:05}", func="benchmarks.functions:noop", status="running" if number % 2 else "queued",
            scheduler_id="host-1-0" if number % 2 else None, trigger="schedule", scheduled_time=now, queued_at=now,
        )
        for number in range(ACTIVE)
    )  # fmt: skip
    if connection.vendor == "postgresql":  # SQLite's planner has no statistics, as on a site
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


# --- pages -----------------------------------------------------------------------------------------------------------


def questions() -> dict[str, str]:
    """Return the addresses that are asked for, by what they are."""
    from jobs.models import Run
    from jobs.selectors.run_pages import Cursor

    middle = Run.objects.latest("id").scheduled_time - SPAN / 2
    failed = Run.objects.filter(status="failed").latest("id").pk
    deep, since = Cursor(False, middle, 0), f"{middle:%Y-%m-%dT%H:%M:%SZ}"
    hour = f"since={since}&until={middle + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    runs = "/scheduler/runs"
    return {
        "runs": runs,
        "runs, 500 of them": f"{runs}?limit=500",
        "runs, half a history in": f"{runs}?cursor={deep}",
        **{f"runs, {status}": f"{runs}?status={status}" for status in ("succeeded", "failed", "lost", "queued")},
        "runs, failed, half a history in": f"{runs}?status=failed&cursor={deep}",
        "runs, since": f"{runs}?since={since}",
        "runs, of an hour": f"{runs}?{hour}",
        "runs, lost, of an hour": f"{runs}?status=lost&{hour}",
        "runs, of a job": f"{runs}?job={SMALL}",
        "runs, of the busiest job": f"{runs}?job={BUSY}",
        "runs, of the busiest job, half a history in": f"{runs}?job={BUSY}&cursor={deep}",
        "runs, of the busiest job, lost": f"{runs}?job={BUSY}&status=lost",
        "runs, of the busiest job, queued": f"{runs}?job={BUSY}&status=queued",
        "runs, of the busiest job, failed, of an hour": f"{runs}?job={BUSY}&status=failed&{hour}",
        "runs, of no job": f"{runs}?job=unknown",
        "runs of the busiest job": f"/scheduler/jobs/{BUSY}/runs",
        "a run": f"{runs}/{failed}",
        "its log": f"{runs}/{failed}/log",
        "jobs": "/scheduler/jobs",
        "ready": "/api/health/ready",
        "scheduler": "/scheduler",
    }


def pages() -> None:
    """Print, for each question, its median in milliseconds and its statements."""
    from django.test import Client

    client = Client()
    for name, path in questions().items():
        with _statements() as found:
            status = client.get(path).status_code
        if status not in (200, 503):  # nothing is ready without a scheduler
            raise RuntimeError(f"{path} gave {status}")
        spent = [_timed(lambda path=path: client.get(path)) for _ in range(TIMES)]
        _tell(question=name, milliseconds=median(spent) * 1000, statements=len(found))


# --- pruning ---------------------------------------------------------------------------------------------------------


def prune(seconds: int) -> None:
    """Print the rate at which runs in the older half of the history are pruned, and the waits of a writer meanwhile.

    The pruner is called as the loop calls it; its rests between two rounds, in which nothing happens, are left out.
    """
    from jobs.core.clock import SystemClock
    from jobs.models import Job
    from jobs.scheduler.pruner import Pruner

    class Hurried(SystemClock):
        passed = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.passed

    quiet = _writes_during(seconds, lambda until: time.sleep(until - time.monotonic()))
    Job.objects.update(keep_days=15)
    clock, steps = Hurried(), []
    pruner = Pruner(clock)

    def work(until: float) -> None:
        while time.monotonic() < until:
            wait = pruner.due - clock.monotonic()
            if wait < 1:
                time.sleep(max(wait, 0))
            else:
                clock.passed += wait
            began = time.monotonic()
            steps.append((pruner.work(), time.monotonic() - began))

    busy = _writes_during(seconds, work)
    spent = sorted(took for deleted, took in steps if deleted)
    _tell(
        runs_per_second=sum(deleted for deleted, _ in steps) / seconds,
        step=median(spent) * 1000, longest_step=spent[-1] * 1000,
        write=_ninetieth(quiet), write_meanwhile=_ninetieth(busy),
    )  # fmt: skip


def _writes_during(seconds: int, work: Callable[[float], None]) -> list[float]:
    """Do `work`, which ends at the monotonic time it is given; return the times of another thread's writes."""
    from django.db import connection

    from jobs.models import Job

    until, spent = time.monotonic() + seconds, []

    def write() -> None:
        while time.monotonic() < until:
            spent.append(_timed(lambda: Job.objects.filter(pk="job-00001").update(description="written")))
            time.sleep(0.02)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    work(until)
    writer.join()
    return spent


def _ninetieth(spent: list[float]) -> float:
    return sorted(spent)[len(spent) * 9 // 10] * 1000


# --- measuring -------------------------------------------------------------------------------------------------------


@contextmanager
def _statements() -> Iterator[list[str]]:
    from django.db import connection

    found: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    child.set_up_site()
    child.main({"prepare": prepare, "pages": pages, "prune": prune})
