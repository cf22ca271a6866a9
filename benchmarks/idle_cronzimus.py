"""Cronzimus with many stored jobs: `manage.py runscheduler`, as people run it."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

FUNCTION = "benchmarks.idle_jobs:mark"


def prepare(jobs: int, due: bool) -> None:
    """Make the database and put the jobs in: none due for a day, or the first one every second."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    from jobs.models import Job

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    stored = [
        Job(
            id=f"job-{number:06}", name="idle", func=FUNCTION, trigger={"type": "interval", "days": 2}, anchor=now,
            next_run_time=now + timedelta(days=1, seconds=number),
        )
        for number in range(jobs)
    ]  # fmt: skip
    if due:
        stored[0].trigger, stored[0].next_run_time = {"type": "interval", "seconds": 1}, now
    Job.objects.bulk_create(stored, batch_size=2000)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def run() -> None:
    """Run a scheduler until a signal ends it."""
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "runscheduler"])


if __name__ == "__main__":
    # No sample job beside those of the measurement.
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
        "JOB_MODULES": "benchmarks.idle_jobs",
        "JOBS": "[]",
    }
    run() if sys.argv[1] == "run" else prepare(int(sys.argv[2]), sys.argv[3] == "due")
