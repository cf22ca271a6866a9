"""django-apscheduler, by its README: a management command in a project that `startproject` makes."""

from __future__ import annotations

import os
from typing import Any

import dj_database_url
import django
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger
from django.conf import settings
from django.core.management.base import BaseCommand

from benchmarks import child

APPS = ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
MIDDLEWARE = (
    "middleware.security.SecurityMiddleware",
    "contrib.sessions.middleware.SessionMiddleware",
    "middleware.common.CommonMiddleware",
    "middleware.csrf.CsrfViewMiddleware",
    "contrib.auth.middleware.AuthenticationMiddleware",
    "contrib.messages.middleware.MessageMiddleware",
    "middleware.clickjacking.XFrameOptionsMiddleware",
)
CONTEXT_PROCESSORS = (
    "template.context_processors.request",
    "contrib.auth.context_processors.auth",
    "contrib.messages.context_processors.messages",
)
THREADS = 10


class Command(BaseCommand):
    """Its README's `manage.py runapscheduler`, for existing jobs."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Run a scheduler until a signal ends it."""
        _scheduler(BlockingScheduler).start()


def prepare(due: list[child.Due], func: str, *, tagged: bool = False) -> None:
    """Make the database, and put the jobs in through its job store; `tagged`, the function gets the job's id."""
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    scheduler = _scheduler(BackgroundScheduler)
    scheduler.start(paused=True)
    with transaction.atomic():
        for job in due:
            trigger = IntervalTrigger(seconds=job.seconds, start_date=job.anchor, timezone="UTC")
            scheduler.add_job(
                func, trigger, id=job.id, args=[job.id] if tagged else [], next_run_time=job.next_run_time,
                misfire_grace_time=None, coalesce=True, max_instances=1,
            )  # fmt: skip
    # Not shut down: on its way out it would move the due jobs on, without running them.


def prepare_burst(jobs: int) -> None:
    """Put in `jobs` jobs that are due."""
    prepare(child.due_jobs(jobs), "benchmarks.functions:noop")


def prepare_steady(jobs: int) -> None:
    """Put in `jobs` jobs that fire every second."""
    prepare(child.steady_jobs(jobs), "benchmarks.functions:stamp", tagged=True)


def prepare_idle(jobs: int, due: bool) -> None:
    """Put in `jobs` jobs, none of them due for a day, or the first one every second."""
    prepare(child.idle_jobs(jobs, due), "benchmarks.functions:tell", tagged=True)


def prepare_pickup() -> None:
    """Put in a job that fires every second: a scheduler looks at its store only when one that it knows of is due."""
    prepare(child.steady_jobs(1), "benchmarks.functions:noop")


def run() -> None:
    """Run its scheduler until a signal ends it."""
    child.end_on_signal()
    child.tell_start_of(BaseScheduler)
    Command().run_from_argv(["manage.py", "runapscheduler"])


def client() -> None:
    """At each request add a job that is due now, through a scheduler that is not running, as another process must."""
    scheduler = _scheduler(BackgroundScheduler)
    scheduler.start(paused=True)
    child.serve(lambda tag: scheduler.add_job("benchmarks.functions:tell", args=[tag], misfire_grace_time=None))


def _scheduler(kind: type) -> Any:
    from django_apscheduler.jobstores import DjangoJobStore

    executors = {"default": ThreadPoolExecutor(THREADS)}
    return kind(timezone="UTC", executors=executors, jobstores={"default": DjangoJobStore()})


def configure(app: str = "django_apscheduler") -> None:
    """Set Django up, with the database of DATABASE_URL and `app`."""
    database = dj_database_url.parse(os.environ["DATABASE_URL"], conn_max_age=60, conn_health_checks=True)
    if database["ENGINE"].endswith("sqlite3"):
        # As in cronzimus_site/settings.py.
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        database["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
    apps = [*(f"django.contrib.{name}" for name in APPS), app]
    processors = [f"django.{name}" for name in CONTEXT_PROCESSORS]
    engine = "django.template.backends.django.DjangoTemplates"
    settings.configure(
        DATABASES={"default": database}, INSTALLED_APPS=apps, USE_TZ=True, SECRET_KEY="of a benchmark",  # noqa: S106
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", STATIC_URL="static/", ALLOWED_HOSTS=["testserver"],
        MIDDLEWARE=[f"django.{name}" for name in MIDDLEWARE], ROOT_URLCONF=f"{__package__}.django_apscheduler_urls",
        TEMPLATES=[{"BACKEND": engine, "APP_DIRS": True, "OPTIONS": {"context_processors": processors}}],
    )  # fmt: skip
    django.setup()


if __name__ == "__main__":
    configure()
    child.main({
        "prepare-burst": prepare_burst, "prepare-steady": prepare_steady, "prepare-idle": prepare_idle,
        "prepare-pickup": prepare_pickup, "run": run, "client": client,
    })  # fmt: skip
