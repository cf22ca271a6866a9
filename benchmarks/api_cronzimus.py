"""Cronzimus in the API's benchmark: its own WSGI application, on a database with jobs; and how that is filled."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

# No sample job, which would not be counted.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
    "JOB_MODULES": "benchmarks.contenders.cronzimus_functions",
    "JOBS": "[]",
    "API_AUTH": "none",
}

from cronzimus_site.wsgi import application

__all__ = ["application"]

if "BENCHMARK_PLAIN" in os.environ:
    # Without the API's caches: all lists are made anew, and jobs are read by Django's ORM.
    from jobs import services
    from jobs.api import cache
    from jobs.api.views import jobs as views

    cache.MAX_KEPT_BYTES = 0
    views.show_job = lambda job_id, now, show, **_: show(services.get_job(job_id), now)


def prepare(number: int) -> None:
    """Make the database with so many jobs, each with another trigger."""
    from django.core.management import call_command

    from jobs.models import Job

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    Job.objects.bulk_create(
        Job(
            id=f"job-{index:06}", name=f"Job {index}", func="benchmarks.functions:noop", anchor=now,
            trigger={"type": "interval", "seconds": 3600 + index}, next_run_time=now + timedelta(seconds=3600 + index),
        )
        for index in range(number)
    )  # fmt: skip


if __name__ == "__main__":
    prepare(int(sys.argv[1]))
