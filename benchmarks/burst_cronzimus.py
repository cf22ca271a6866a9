"""Cronzimus in a burst: `manage.py runscheduler`, as people run it."""

from __future__ import annotations

import os

from benchmarks import burst_child


def prepare(due: list[burst_child.Due]) -> None:
    """Make the database, and put the jobs in."""
    import django
    from django.core.management import call_command

    django.setup()
    from jobs.models import Job

    call_command("migrate", verbosity=0)
    seconds = int(burst_child.INTERVAL.total_seconds())
    Job.objects.bulk_create(
        Job(
            id=job.id, name="noop", func=burst_child.FUNCTION, trigger={"type": "interval", "seconds": seconds},
            anchor=job.anchor, next_run_time=job.next_run_time,
        )
        for job in due
    )  # fmt: skip


def run() -> None:
    """Run a scheduler until a signal ends it."""
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", "runscheduler"])


if __name__ == "__main__":
    # No sample job beside those of the burst.
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
        "JOB_MODULES": "benchmarks.burst_jobs",
        "JOBS": "[]",
    }
    burst_child.main(prepare, run)
