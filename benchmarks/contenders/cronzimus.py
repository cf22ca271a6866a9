"""Cronzimus: `manage.py runscheduler`, as people run it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from benchmarks import child

# No sample job beside the jobs of the benchmark.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "cronzimus_site.settings",
    "JOB_MODULES": "benchmarks.contenders.cronzimus_functions",
    "JOBS": "[]",
    "API_AUTH": "none",
}
STAMP, TELL = "benchmarks.functions:stamp", "benchmarks.functions:tell"


def prepare(due: list[child.Due], func: str, *, tagged: bool = False) -> None:
    """Make the database, and put the jobs in; `tagged`, the function gets the job's id."""
    from django.core.management import call_command

    _setup()
    from jobs.models import Job

    call_command("migrate", verbosity=0)
    Job.objects.bulk_create(
        Job(
            id=job.id, name="job", func=func, args=[job.id] if tagged else [],
            trigger={"type": "interval", "seconds": job.seconds}, anchor=job.anchor, next_run_time=job.next_run_time,
        )
        for job in due
    )  # fmt: skip


def prepare_burst(jobs: int, function: str = "noop", at: float | None = None) -> None:
    """Put in `jobs` jobs that are due, or will be at `at`."""
    prepare(child.due_jobs(jobs, at), f"benchmarks.functions:{function}")


def bring_forward(at: float) -> None:
    """Make all jobs due at the instant `at`, in seconds of Unix time."""
    _setup()
    from jobs.models import Job, announce

    Job.objects.update(next_run_time=datetime.fromtimestamp(at, UTC))
    announce()


def prepare_steady(jobs: int) -> None:
    """Put in `jobs` jobs that fire every second."""
    prepare(child.steady_jobs(jobs), STAMP, tagged=True)


def prepare_idle(jobs: int, due: bool) -> None:
    """Put in `jobs` jobs, none of them due for a day, or the first one every second."""
    prepare(child.idle_jobs(jobs, due), TELL, tagged=True)
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def prepare_pickup() -> None:
    """Make the database, with one job that is run by hand only."""
    prepare([], "")
    from django.utils import timezone

    from jobs import services

    services.add_job(
        {"id": "by-hand", "func": TELL, "trigger": "interval", "weeks": 52, "args": ["0"]}, now=timezone.now()
    )


def due_now(tag: str, instant: str) -> dict[str, Any]:
    """Return the body of a job that is due at `instant`, once."""
    return {"id": f"job-{tag}", "func": TELL, "args": [tag], "trigger": "date", "run_date": instant}


def run() -> None:
    """Run a scheduler until a signal ends it."""
    from apscheduler.schedulers.base import BaseScheduler
    from django.core.management import execute_from_command_line

    child.tell_start_of(BaseScheduler)
    execute_from_command_line(["manage.py", "runscheduler"])


def prepare_soak() -> None:
    """Put in, for threads and processes, jobs that succeed, fail, are retried, print, and hang."""
    prepare([], "")
    from django.utils import timezone

    from jobs import services

    retries = {"max": 2, "delay": 1, "backoff": 1}
    kinds: dict[str, tuple[int, dict[str, Any]]] = {
        "quick": (20, {"func": "noop", "seconds": 1}),
        "ten-ms": (5, {"func": "ten_ms", "seconds": 1, "max_instances": 2}),
        "failing": (5, {"func": "fail", "seconds": 5, "retries": retries}),
        "speaking": (5, {"func": "speak", "seconds": 1}),
        "process": (2, {"func": "speak", "seconds": 1, "executor": "process"}),
        "failing-process": (1, {"func": "fail", "seconds": 5, "executor": "process", "retries": retries}),
        "hanging": (1, {"func": "hang", "seconds": 60, "timeout": 1}),
    }
    for name, (count, fields) in kinds.items():
        for number in range(count):
            body = fields | {"func": f"benchmarks.functions:{fields['func']}", "trigger": "interval", "keep_runs": 20}
            services.add_job(body | {"id": f"{name}-{number}"}, now=timezone.now())


def client(by_hand: bool = False) -> None:
    """At each request add a job that is due now, or run one by hand, in a process that is no scheduler."""
    _setup()
    from django.utils import timezone

    from jobs import services

    def add(tag: str) -> None:
        now = timezone.now()
        services.add_job(due_now(tag, now.isoformat()), now=now)

    def run_by_hand(tag: str) -> None:
        services.run_job("by-hand", now=timezone.now(), args=[tag])

    child.serve(run_by_hand if by_hand else add)


def web(port: int) -> None:
    """Serve the API with one worker of gunicorn, as `manage.py up` does."""
    child.serve_web("cronzimus_site.wsgi", port)


def _setup() -> None:
    import django

    django.setup()


if __name__ == "__main__":
    child.main({
        "prepare-burst": prepare_burst, "prepare-steady": prepare_steady, "prepare-idle": prepare_idle,
        "prepare-pickup": prepare_pickup, "prepare-soak": prepare_soak, "run": run, "client": client, "web": web,
        "bring-forward": bring_forward,
    })  # fmt: skip
