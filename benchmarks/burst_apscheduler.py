"""django-apscheduler in a burst, as its README has it, in the Django project that `startproject` makes."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url
import django
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger
from django.conf import settings

from benchmarks import burst_child

APPS = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
THREADS = 10
FUNCTION = "benchmarks.burst_apscheduler:noop"


def noop() -> None:
    """Do nothing."""


def prepare(due: list[burst_child.Due]) -> None:
    """Make the database, and put the jobs in through its job store."""
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    scheduler = _scheduler(BackgroundScheduler)
    scheduler.start(paused=True)
    seconds = int(burst_child.INTERVAL.total_seconds())
    with transaction.atomic():
        for job in due:
            trigger = IntervalTrigger(seconds=seconds, start_date=job.anchor, timezone="UTC")
            scheduler.add_job(
                FUNCTION, trigger, id=job.id, next_run_time=job.next_run_time,
                misfire_grace_time=None, coalesce=True, max_instances=1,
            )  # fmt: skip
    # Not shut down: on its way out it would move the due jobs on, without running them.


def run() -> None:
    """Run its scheduler until a signal ends it."""
    _scheduler(BlockingScheduler).start()


def _scheduler(kind: type) -> Any:
    from django_apscheduler.jobstores import DjangoJobStore

    executors = {"default": ThreadPoolExecutor(THREADS)}
    return kind(timezone="UTC", executors=executors, jobstores={"default": DjangoJobStore()})


def _configure() -> None:
    database = dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=60, conn_health_checks=True)
    if database["ENGINE"].endswith("sqlite3"):
        # As in cronzimus_site/settings.py.
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        database["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
    apps = [*(f"django.contrib.{name}" for name in APPS), "django_apscheduler"]
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=apps, USE_TZ=True)
    django.setup()


if __name__ == "__main__":
    _configure()
    burst_child.main(prepare, run)
