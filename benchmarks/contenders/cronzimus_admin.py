"""Cronzimus's admin on a long history: `prepare` writes it, `pages` times every page that people open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks import child
from benchmarks.contenders import django_pages
from benchmarks.history_rows import BUSY, SPAN, insert_runs

SMALL = "job-00500"
"""A job with few runs; `BUSY` has a fifth of all."""
RUNNING = 20
"""Runs that are going on, beside the finished ones; as many wait."""
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")
SCHEDULES = ("*/5 * * * *", "*/15 6-21 * * 1-6", "0 * * * *", "30 2 * * *", "0 8 * * 1", "15 4 1 * *")


def prepare(jobs: int, runs: int) -> None:
    """Make the database and fill it; have the statistics follow, as the schedulers do."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection

    from jobs.models import Job, Run, Scheduler
    from jobs.scheduler.store.statistics import BEHIND, roll_up

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    User.objects.create_superuser("root")
    for host in range(3):
        Scheduler.objects.create(
            id=f"host-{host}", hostname=f"host-{host}", pid=1, version="0.2.0", threads=16, started_at=now - SPAN,
            heartbeat_at=now, lease_until=now + timedelta(days=1),
        )  # fmt: skip
    Job.objects.bulk_create(_job(number, now, runs // jobs) for number in range(jobs))
    with connection.cursor() as cursor:
        cursor.execute(insert_runs(connection.vendor, jobs, runs, now))
    Run.objects.bulk_create(_active(number, now) for number in range(2 * RUNNING))
    for step in range(3):
        while roll_up(now + step * BEHIND):
            pass
    if connection.vendor == "postgresql":  # SQLite's planner has no statistics, as on a site
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _job(number: int, now: datetime, runs: int) -> Any:
    from jobs.models import Job

    crontab = {"type": "cron", "crontab": SCHEDULES[number % 6], "timezone": ZONES[number % 4]}
    trigger = crontab if number % 2 else {"type": "interval", "minutes": 5 + number % 60}
    paused, failed = number % 20 == 19, number % 50 == 7
    return Job(
        id=f"job-{number:05}", name=f"Job {number}", func="benchmarks.functions:noop", trigger=trigger,
        anchor=now - timedelta(seconds=number),
        tags=[f"team-{number % 8}"], description="What it does, in one line", paused=paused,
        paused_at=now - timedelta(days=2) if paused else None,
        next_run_time=None if paused else now + timedelta(minutes=1 + number % 60),
        run_count=runs, failure_count=5, last_status="failed" if failed else "succeeded", last_run_at=now,
    )  # fmt: skip


def _active(number: int, now: datetime) -> Any:
    from jobs.models import Run

    running = number % 2 == 1
    return Run(
        job_id=f"job-{number:05}", func="benchmarks.functions:noop", status="running" if running else "queued",
        scheduler_id="host-1" if running else None, started_at=now if running else None, trigger="schedule",
        scheduled_time=now + timedelta(seconds=1), queued_at=now,
    )  # fmt: skip


def _addresses() -> Iterator[tuple[str, str]]:
    """Yield each page and its address."""
    from jobs.models import Run
    from jobs.selectors.run_pages import Cursor

    middle = Run.objects.latest("id").scheduled_time - SPAN / 2
    failed = Run.objects.filter(status="failed").latest("id").pk
    for span in ("24h", "7d", "30d"):
        yield f"overview, {span}", f"/admin/?range={span}"
    jobs = "/admin/cronzimus/job/"
    yield from _of_jobs(jobs)
    yield "upcoming", f"{jobs}upcoming/"
    yield from _of_runs("/admin/cronzimus/run/", failed, str(Cursor(False, middle, 0)))
    for name in ("scheduler", "incident", "alertrule", "channel", "delivery", "token", "auditevent"):
        yield f"list: {name}", f"/admin/cronzimus/{name}/"
    for name in ("alertrule", "channel", "token"):
        yield f"form: {name}", f"/admin/cronzimus/{name}/add/"
    yield "about", "/admin/cronzimus/scheduler/about/"
    yield "live figures", "/admin/live/"
    yield "palette", "/admin/palette/?q=job-005"


def _of_jobs(jobs: str) -> Iterator[tuple[str, str]]:
    yield "jobs", jobs
    for state in ("active", "paused", "failing", "running", "never", "broken"):
        yield f"jobs, {state}", f"{jobs}?state={state}"
    yield "jobs, the last page", f"{jobs}?p=10"
    yield "jobs, search", f"{jobs}?q={SMALL}"
    for name, job in (("the busiest job", BUSY), ("a quiet job", SMALL)):
        yield name, f"{jobs}{job}/change/"
    for tab in ("runs", "upcoming", "configuration", "api"):
        yield f"the busiest job, tab {tab}", f"{jobs}{BUSY}/change/?tab={tab}"
    yield "versions of a job", f"{jobs}{BUSY}/versions/"
    yield "why did it not run?", f"{jobs}{BUSY}/why/"
    yield "form of a job", f"{jobs}{SMALL}/edit/"
    yield "form of a new job", f"{jobs}add/"
    yield "run dialog", f"{jobs}{BUSY}/run-with/"
    yield "resume dialog", f"{jobs}job-00019/resume/ask/"


def _of_runs(runs: str, failed: int, deep: str) -> Iterator[tuple[str, str]]:
    yield "runs", runs
    yield "runs, half a history in", f"{runs}?cursor={deep}"
    for status in ("succeeded", "failed", "failures", "not_run", "unsuccessful", "queued"):
        yield f"runs, {status}", f"{runs}?status={status}"
    yield "runs, by hand", f"{runs}?trigger=manual"
    for span in ("1h", "30d"):
        yield f"runs, past {span}", f"{runs}?since={span}"
    yield "runs, of the busiest job", f"{runs}?job={BUSY}"
    yield "runs, of the busiest job, unsuccessful", f"{runs}?job={BUSY}&status=unsuccessful"
    for name, words in (
        ("a job", SMALL), ("ten jobs", "job-0001"), ("all jobs", "job"), ("nothing", "nothing"),
        ("long ones", "took%3A>30s"), ("an error", "status%3Afailed+error%3Atimeout"),
    ):  # fmt: skip
        yield f"runs, search for {name}", f"{runs}?q={words}"
    yield "a run", f"{runs}{failed}/change/"
    yield "log of a run", f"{runs}{failed}/log/"
    yield "failures", f"{runs}failures/"
    for span in ("1h", "6h", "24h", "7d"):
        yield f"timeline, {span}", f"{runs}timeline/?range={span}"
    yield "timeline, by host", f"{runs}timeline/?by=host"


def pages(times: int) -> None:
    """Print what each page takes."""
    for page in django_pages.measured(dict(_addresses()), times):
        print(json.dumps(page), flush=True)


if __name__ == "__main__":
    child.set_up_site()
    from django.conf import settings

    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    child.main({"prepare": prepare, "pages": pages})
