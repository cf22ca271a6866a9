"""APScheduler by itself: its memory store, or its SQLAlchemyJobStore; it keeps no history."""

from __future__ import annotations

import os
from typing import Any

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from benchmarks import child

THREADS = 10
MEMORY = os.environ["BENCH_PLACE"] == "memory"


def prepare_burst(jobs: int) -> None:
    """Put in `jobs` jobs that are due, if there is a database for them."""
    _prepare(child.due_jobs(jobs), "noop")


def prepare_steady(jobs: int) -> None:
    """Put in `jobs` jobs that fire every second, if there is a database for them."""
    _prepare(child.steady_jobs(jobs), "stamp", tagged=True)


def run_burst(jobs: int) -> None:
    """Run its scheduler until a signal ends it, and tell when `jobs` runs have ended."""
    ended = 0

    def listen(event: Any) -> None:
        nonlocal ended
        ended += 1
        if ended == jobs:
            child.tell("done")

    scheduler = _scheduler(BlockingScheduler)
    scheduler.add_listener(listen, EVENT_JOB_EXECUTED)
    _run(scheduler, child.due_jobs(jobs), "noop")


def run_steady(jobs: int) -> None:
    """Run its scheduler until a signal ends it."""
    _run(_scheduler(BlockingScheduler), child.steady_jobs(jobs), "stamp", tagged=True)


def run_idle(jobs: int, due: bool) -> None:
    """Run its scheduler with `jobs` jobs in memory, none of them due for a day, or the first one every second."""
    _run(_scheduler(BlockingScheduler), child.idle_jobs(jobs, due), "tell", tagged=True)


def _prepare(due: list[child.Due], function: str, *, tagged: bool = False) -> None:
    if not MEMORY:
        scheduler = _scheduler(BackgroundScheduler)
        scheduler.start(paused=True)
        _add(scheduler, due, function, tagged)


def _run(scheduler: Any, due: list[child.Due], function: str, *, tagged: bool = False) -> None:
    if MEMORY:
        _add(scheduler, due, function, tagged)
    child.end_on_signal()
    child.tell_start_of(BaseScheduler)
    scheduler.start()


def _add(scheduler: Any, due: list[child.Due], function: str, tagged: bool) -> None:
    for job in due:
        scheduler.add_job(
            f"benchmarks.functions:{function}",
            IntervalTrigger(seconds=job.seconds, start_date=job.anchor, timezone="UTC"),
            id=job.id, args=[job.id] if tagged else [], next_run_time=job.next_run_time,
            misfire_grace_time=None, coalesce=True, max_instances=1,
        )  # fmt: skip


def _scheduler(kind: type) -> Any:
    executors = {"default": ThreadPoolExecutor(THREADS)}
    return kind(timezone="UTC", executors=executors, jobstores={} if MEMORY else {"default": _store()})


def _store() -> Any:
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from sqlalchemy import create_engine, event

    engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def configure(connection: Any, record: Any) -> None:
            # As in cronzimus_site/settings.py.
            connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")

    return SQLAlchemyJobStore(engine=engine)


if __name__ == "__main__":
    child.main({
        "prepare-burst": prepare_burst, "prepare-steady": prepare_steady,
        "run-burst": run_burst, "run-steady": run_steady, "run-idle": run_idle,
    })  # fmt: skip
