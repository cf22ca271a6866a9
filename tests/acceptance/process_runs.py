"""Runs in processes of a real `runscheduler`, asked for and watched from the tests' own database."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection

from jobs import services
from jobs.core.runs import ACTIVE
from jobs.models import Run, Scheduler
from tests import process_functions
from tests.waiting import until

from .support import Process

ENVIRONMENT = {
    "DEBUG": "true", "SECRET_KEY": "only-for-tests", "TIME_ZONE": "UTC", "JOBS": "[]",
    "JOB_MODULES": f"tests.job_functions,{process_functions.__name__}",
    "SECRETS": '{"env_prefix": "JOB_SECRET_"}', "JOB_SECRET_CRM": "hunter2-hunter2",
}  # fmt: skip
PATIENCE = 40.0
"""Seconds that a run may take on a busy machine."""


def database_url() -> str:
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    password = f":{settings['PASSWORD']}" if settings["PASSWORD"] else ""
    return f"postgresql://{settings['USER']}{password}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


@contextmanager
def started(log: Path) -> Iterator[Process]:
    """Start a scheduler with one thread and one process, and kill it in the end."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url(), **ENVIRONMENT}
    process = Process([sys.executable, "manage.py", "runscheduler", "--threads=1", "--processes=1"], environment, log)
    try:
        until(Scheduler.objects.exists, PATIENCE, "the scheduler's start")
        yield process
    finally:
        process.end()
        print(log.read_text())  # pytest shows it if a test failed


def queued(func: str, *args: Any, **fields: Any) -> Run:
    """Ask for a run of a new job in a process."""
    now = datetime.now(UTC)
    job_id = f"job-{Run.objects.count()}"
    body = {"id": job_id, "func": func, "args": list(args), "trigger": "date", "run_date": "2999-01-01",
            "executor": "process", **fields}  # fmt: skip
    services.add_job(body, now=now)
    return services.run_job(job_id, now=now)


def ended(run: Run) -> Run:
    """Return a run when it has ended."""
    until(lambda: not Run.objects.filter(pk=run.pk, status__in=ACTIVE).exists(), PATIENCE, "its end")
    run.refresh_from_db()
    return run


def pids(path: Path) -> list[int]:
    """Return the process ids that a function left in `path`."""
    until(path.exists, PATIENCE, "its process ids")
    return [int(word) for word in path.read_text().split()]


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def have_ended(*pids: int) -> bool:
    """Tell whether none of the processes is alive."""
    return not any(is_alive(pid) for pid in pids)
