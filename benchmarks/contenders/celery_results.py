"""Celery with django-celery-results on PostgreSQL, and Celery's own beat, as their documentation sets them up."""

from __future__ import annotations

import os
import signal
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django
from celery import Celery, schedules, signals
from celery.fixups.django import fixup
from django.conf import settings

from benchmarks import child, functions

address = urlsplit(os.environ["DATABASE_URL"])
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_results"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": address.path.strip("/"), "HOST": address.hostname,
            "PORT": address.port, "USER": address.username, "PASSWORD": address.password, "CONN_MAX_AGE": 60,
        }
    },
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    CELERY_BROKER_URL=os.environ["CELERY_BROKER_URL"],
    CELERY_RESULT_BACKEND="django-db",
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP=True,
)  # fmt: skip
app = Celery("benchmark")
app.config_from_object("django.conf:settings", namespace="CELERY")
noop = app.task(name="noop")(functions.noop)
note = app.task(name="note")(functions.note)


def prepare(**_: Any) -> None:
    """Make the database."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def scheduler(queue: str, steady: int, apart: bool) -> None:
    """Run beat until a signal ends it, and write down when it publishes which entry.

    It has `steady` entries that fire every second: all at the whole second, or one after the other.
    """

    @signals.before_task_publish.connect(weak=False)
    def noted(body: Any, **_: Any) -> None:
        functions.written_down("published", body[0][0])

    # Relative schedules fire at whole seconds; others count from their last start, and fall back a little each time.
    every_second = schedules.schedule(timedelta(seconds=1), relative=not apart)
    app.conf.beat_schedule = {
        job.id: {
            "task": "note", "schedule": every_second, "args": [job.id], "options": {"queue": queue},
            "last_run_at": job.anchor,
        }
        for job in child.steady_jobs(steady, apart=apart)
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cronzimus-bench-") as directory:
        child.tell("ready")
        app.start(["beat", "--schedule", str(Path(directory, "schedule")), "--loglevel", "WARNING"])


def worker(queue: str, slots: int, keeps: bool = True) -> None:
    """Run a worker until a signal ends it. With `keeps` its processes keep their connections to the database.

    Where `DJANGO_SETTINGS_MODULE` is set, Celery closes them before and after each task.
    """
    signals.worker_ready.connect(lambda **_: child.tell("ready"), weak=False)
    if not keeps:
        os.environ["DJANGO_SETTINGS_MODULE"] = "configured.above"
        fixup(app)
    app.worker_main(["worker", "-Q", queue, "-c", str(slots), "--loglevel", "WARNING"])


def go(queue: str, burst: int) -> None:
    """Send as many tasks that do nothing, and tell when the first was sent."""
    child.tell("began")
    for _ in range(burst):
        noop.apply_async(queue=queue)
    signal.pause()


if __name__ == "__main__":
    django.setup()
    child.main({"prepare": prepare, "scheduler": scheduler, "worker": worker, "go": go})
