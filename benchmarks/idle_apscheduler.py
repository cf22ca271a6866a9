"""APScheduler with many jobs: from memory, or from django-apscheduler's job store."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

FUNCTION = "benchmarks.idle_apscheduler:mark"
THREADS = 10


def mark() -> None:
    """Do as `benchmarks.idle_jobs.mark` does, which needs Cronzimus."""
    with open(os.environ["IDLE_MARKS"], "a") as marks:
        marks.write(f"{time.monotonic()}\n")


def add(scheduler: Any, jobs: int, due: bool) -> None:
    """Add the jobs: none due for a day, or the first one every second."""
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(jobs):
        soon = due and number == 0
        scheduler.add_job(
            FUNCTION, IntervalTrigger(seconds=1 if soon else 172_800, start_date=now, timezone="UTC"),
            id=f"job-{number:06}", next_run_time=now if soon else now + timedelta(days=1, seconds=number),
            misfire_grace_time=None, coalesce=True, max_instances=1,
        )  # fmt: skip


def scheduler_on(store: Any, **options: Any) -> BlockingScheduler:
    """Return a scheduler on a job store."""
    executors = {"default": ThreadPoolExecutor(THREADS)}
    return BlockingScheduler(timezone="UTC", executors=executors, jobstores={"default": store}, **options)


def prepare(jobs: int, due: bool) -> None:
    """Put the jobs in through django-apscheduler's store."""
    from django.core.management import call_command
    from django.db import transaction
    from django_apscheduler.jobstores import DjangoJobStore

    call_command("migrate", verbosity=0)
    scheduler = scheduler_on(DjangoJobStore())
    # Started, so that the jobs are written; its loop is not entered.
    super(BlockingScheduler, scheduler).start(paused=True)
    with transaction.atomic():
        add(scheduler, jobs, due)


def main(store: str, action: str, jobs: int, due: bool) -> None:
    """Do what the command line asks."""
    if store == "memory":
        from apscheduler.jobstores.memory import MemoryJobStore

        if action == "run":
            scheduler = scheduler_on(MemoryJobStore())
            add(scheduler, jobs, due)
            scheduler.start()
        return
    from benchmarks.contenders.django_apscheduler import configure

    configure()
    if action == "prepare":
        prepare(jobs, due)
    else:
        from django_apscheduler.jobstores import DjangoJobStore

        scheduler_on(DjangoJobStore()).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "due")
