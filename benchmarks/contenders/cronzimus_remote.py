"""Cronzimus with the executor `celery`: a scheduler, and a worker as people run it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import child, functions
from benchmarks.contenders import cronzimus

FAR = timedelta(days=365)


def prepare(queue: str, steady: int, apart: bool, burst: int) -> None:
    """Make the database, with `steady` jobs that fire every second, and `burst` jobs that `go` makes due.

    Those that fire every second do so together, or one after the other.
    """
    cronzimus.prepare(child.steady_jobs(steady, apart=apart), "benchmarks.functions:note", tagged=True)
    from jobs.models import Job

    soon = datetime.now(UTC) + FAR
    Job.objects.bulk_create(
        Job(
            id=f"burst-{number:06}", name="job", func="benchmarks.functions:noop", anchor=soon, next_run_time=soon,
            trigger={"type": "interval", "days": 400},
        )
        for number in range(burst)
    )  # fmt: skip
    Job.objects.update(executor="celery", queue=queue)


def scheduler(**_: Any) -> None:
    """Run a scheduler until a signal ends it, and write down when it publishes which run."""
    cronzimus._setup()
    from jobs.scheduler.executors.celery import CeleryTransport
    from jobs.scheduler.store.dispatch import Dispatch

    publish = CeleryTransport.publish

    def noted(self: Any, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        for one in dispatches:
            functions.written_down("published", one.run_id)
        return publish(self, dispatches)

    CeleryTransport.publish = noted  # type: ignore[method-assign]
    cronzimus.run()


def worker(queue: str, slots: int) -> None:
    """Run a worker until a signal ends it."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "cronzimus_site.settings"
    from celery import signals

    from jobs.worker.app import app

    signals.worker_ready.connect(lambda **_: child.tell("ready"), weak=False)
    app.worker_main(["worker", "-Q", queue, "-c", str(slots), "--loglevel", "WARNING"])


def go(**_: Any) -> None:
    """Make the jobs of the burst due, and tell when."""
    cronzimus._setup()
    from django.utils import timezone

    from jobs.models import Job, announce

    child.tell("began")
    Job.objects.filter(id__startswith="burst-").update(next_run_time=timezone.now())
    announce()
    signal.pause()


if __name__ == "__main__":
    child.main({"prepare": prepare, "scheduler": scheduler, "worker": worker, "go": go})
