"""A day of a fictitious team, for the pages of the admin to show: jobs of every state and runs of every status."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from jobs import Database, register
from jobs.core.runs import RunStatus
from jobs.core.triggers import build_trigger
from jobs.core.zone_data import used_data
from jobs.functions import registry
from jobs.models import Job, Run, Scheduler
from jobs.models.run import duration
from jobs.scheduler.store.statistics import add

NOW = datetime(2026, 11, 28, 14, 32, 7, tzinfo=UTC)
"""The instant of all pages: a Saturday afternoon."""
LONG_AGO = NOW - timedelta(days=90)
BERLIN = "Europe/Berlin"
TIMEOUT_TEXT = "stopped after its timeout of 30 s"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/.venv/lib/python3.12/site-packages/cronzimus/calls/runner.py", line 120, in execute
    value = call(*args, **kwargs)
  File "/srv/app/crm/jobs.py", line 41, in sync
    deals = client.fetch("deals", since=since)
  File "/srv/app/crm/client.py", line 88, in fetch
    response = self.session.get(url, timeout=10)
  File "/srv/app/.venv/lib/python3.12/site-packages/urllib3/connectionpool.py", line 787, in urlopen
    raise MaxRetryError(_pool, url, reason)
crm.client.ConnectTimeout: crm.example.com:443 did not answer within 10 s
"""
OUTPUT = """sync-crm: run 48213, attempt 3 of 3 on worker-1
since = 2026-11-28T13:30:08Z
\x1b[32m✓\x1b[0m token is valid for 48 min
GET https://crm.example.com/api/contacts?since=…&page=1
\x1b[32m200\x1b[0m 100 contacts
GET https://crm.example.com/api/contacts?since=…&page=2
\x1b[32m200\x1b[0m 12 contacts
\x1b[32m✓\x1b[0m contacts: 9 created, 103 updated
GET https://crm.example.com/api/deals?since=…&page=1
\x1b[33mWARNING\x1b[0m no answer for 5 s
connect to crm.example.com:443 timed out after 10.0 s
\x1b[31mERROR\x1b[0m ConnectTimeout: crm.example.com:443 did not answer within 10 s
rolled back: 0 deals written
"""
WRITTEN = (3, 6, 64, 64, 280, 283, 466, 492, 493, 5496, 10296, 10298, 10300)
"""The milliseconds at which its lines were written."""
ERRORS = (10, 11)
"""The lines of it that are standard error."""
STARTS = accumulate((len(line) + 1 for line in OUTPUT.splitlines()), initial=0)
MARKS = json.dumps([[start, at, int(line in ERRORS)] for line, (start, at) in enumerate(zip(STARTS, WRITTEN))])  # noqa: B905

# id, tags, description, function, trigger, typical seconds; then the fields that differ from the usual ones
JOBS: list[tuple[str, list[str], str, str, dict[str, Any], float, dict[str, Any]]] = [
    ("sync-crm", ["etl"], "Contacts and deals, both ways", "crm.jobs:sync",
     {"type": "cron", "crontab": "*/15 6-21 * * 1-6", "timezone": BERLIN}, 8.4,
     {"kwargs": {"since": "last", "page_size": 100},
      "retries": {"max": 2, "delay": 10, "backoff": 2, "max_delay": 3600, "jitter": 0}}),
    ("check-certificates", ["ops"], "Warns 7 days before expiry", "ops.jobs:check_certificates",
     {"type": "cron", "crontab": "0 6 * * *", "timezone": BERLIN}, 1.9, {}),
    ("verify-backups", ["ops"], "Restores last night’s dump and compares the row counts", "backups.jobs:verify",
     {"type": "cron", "crontab": "0 5 * * *", "timezone": BERLIN}, 250, {}),
    ("import-orders", ["etl"], "From shop.example.com", "shop.jobs:import_orders",
     {"type": "cron", "crontab": "*/2 * * * *"}, 9.1, {"misfire_grace_time": 60}),
    ("rollup-metrics", ["etl"], "Hourly totals for the dashboards", "metrics.jobs:rollup",
     {"type": "cron", "crontab": "*/10 * * * *"}, 48, {"executor": "process"}),
    ("export-warehouse", ["etl"], "Nightly Parquet files", "warehouse.jobs:export",
     {"type": "cron", "crontab": "0 9 * * *", "timezone": "America/New_York"}, 2460, {"executor": "process"}),
    ("charge-subscriptions", ["billing"], "Card payments that are due", "billing.jobs:charge",
     {"type": "cron", "crontab": "5 * * * *"}, 21, {}),
    ("refresh-exchange-rates", ["billing"], "European Central Bank", "billing.jobs:refresh_rates",
     {"type": "cron", "crontab": "20 * * * *"}, 0.64, {"timeout": 30}),
    ("reindex-search", ["search"], "Products and pages", "search.jobs:reindex",
     {"type": "cron", "crontab": "*/5 1-4 * * *", "timezone": BERLIN}, 432, {"kwargs": {"index": "products"}}),
    ("nightly-backup", ["ops"], "pg_dump to s3://backups.example.com", "backups.jobs:dump",
     {"type": "cron", "crontab": "30 2 * * *", "timezone": BERLIN}, 372, {}),
    ("cleanup-sessions", ["ops"], "Expired sessions and carts", "ops.jobs:cleanup",
     {"type": "cron", "crontab": "15 3 * * *", "timezone": BERLIN}, 3.2, {}),
    ("weekly-digest", ["mail"], "E-mail to 4,120 readers", "mail.jobs:digest",
     {"type": "cron", "crontab": "0 8 * * 1", "timezone": BERLIN}, 160, {}),
    ("send-invoices", ["billing", "mail"], "PDF and e-mail", "billing.jobs:send_invoices",
     {"type": "cron", "crontab": "0 7 1 * *", "timezone": BERLIN}, 665, {}),
    ("archive-logs", ["ops"], "Older than 90 days", "ops.jobs:archive",
     {"type": "cron", "crontab": "30 4 * * *", "timezone": BERLIN}, 58,
     {"paused_until": datetime(2026, 11, 30, 3, tzinfo=UTC), "paused_at": NOW - timedelta(days=1.9)}),
    ("vacuum-analyze", ["ops"], "The three largest tables", "ops.jobs:vacuum",
     {"type": "cron", "crontab": "0 4 * * 0", "timezone": BERLIN}, 570,
     {"paused": True, "paused_at": NOW - timedelta(days=7)}),
    ("rotate-api-keys", ["ops"], "All tokens older than a year", "ops.jobs:rotate_keys",
     {"type": "date", "run_date": "2027-01-15 14:30:00"}, 1, {}),
    ("thumbnail-sweeper", ["search"], "Images that no page shows", "search.jobs:sweep",
     {"type": "interval", "minutes": 5, "start_date": "2026-01-01 00:00:00"}, 14, {}),
    ("geoip-update", ["ops"], "MaxMind’s weekly file", "ops.jobs:geoip",
     {"type": "cron", "crontab": "30 9 * * 6"}, 1600, {}),
    ("score-leads", ["etl"], "The nightly model, applied to the day’s leads", "crm.jobs:score",
     {"type": "cron", "crontab": "0 10-18 * * *"}, 1500, {}),
    ("warm-cache", ["search"], "The hundred most visited pages", "search.jobs:warm",
     {"type": "interval", "minutes": 30, "start_date": "2026-01-01 00:03:00"}, 260, {}),
    ("sync-calendar", ["etl"], "Rooms and bookings", "crm.jobs:sync_calendar",
     {"type": "interval", "minutes": 20, "start_date": "2026-01-01 00:08:00"}, 22, {}),
    ("prune-uploads", ["ops"], "Uploads that were never attached", "ops.jobs:prune",
     {"type": "cron", "crontab": "15 12 * * *"}, 2000, {}),
    ("rebuild-sitemap", ["search"], "", "search.jobs:sitemap",
     {"type": "cron", "crontab": "40 3 * * *", "timezone": BERLIN}, 71, {}),
    ("mail-bounces", ["mail"], "Marks addresses that bounced", "mail.jobs:bounces",
     {"type": "cron", "crontab": "25 */6 * * *"}, 5.5, {}),
]  # fmt: skip

UNREGISTERED = "backups.jobs:verify"


def register_functions() -> None:
    """Register the functions of the jobs, except that of the broken job. It may be called twice."""

    def plain() -> None:
        """Do the work of one job."""

    def sync(since: str, page_size: int = 100) -> dict[str, int]:
        """Copy contacts and deals, both ways."""
        return {}

    def reindex(index: str, batch_size: int = 500, full: bool = False, database: Database | None = None) -> None:
        """Rebuild the search index. Safe to stop at any time."""

    known: dict[str, Callable[..., Any]] = {"crm.jobs:sync": sync, "search.jobs:reindex": reindex}
    for _, _, _, func, *_ in JOBS:
        if func != UNREGISTERED and func not in {function.reference for function in registry.functions()}:
            register(func)(known.get(func, plain))


def fill() -> None:
    """Write the schedulers, the jobs and their runs of the last weeks."""
    chance = random.Random(7)
    for name, running in (("web-1", 1), ("web-2", 2)):
        Scheduler.objects.create(
            id=f"{name}-4121-0a1b", hostname=name, pid=4121, version="0.2.0", threads=12, processes=4,
            started_at=NOW - timedelta(days=3), heartbeat_at=NOW - timedelta(seconds=2),
            lease_until=NOW + timedelta(seconds=13), running_runs=running, zone_data=used_data().version,
            memory=92_300_000 + 1_400_000 * running,
        )  # fmt: skip
    runs: list[Run] = []
    jobs = []
    for entry in JOBS:
        job, its_runs = _job(*entry, chance)
        jobs.append(job)
        runs += its_runs
    Job.objects.bulk_create(jobs)
    runs.sort(key=lambda run: (run.scheduled_time, run.attempt))
    Run.objects.bulk_create(runs, batch_size=500)
    add(Run.objects.filter(finished_at__isnull=False))


def _job(
    job_id: str, tags: list[str], description: str, func: str, trigger: dict[str, Any], typical: float,
    fields: dict[str, Any], chance: random.Random,
) -> tuple[Job, list[Run]]:  # fmt: skip
    built = build_trigger(trigger, anchor=LONG_AGO, default_timezone="UTC", key=job_id)
    paused = fields.get("paused", False)
    broken = func == UNREGISTERED
    job = Job(
        id=job_id, name=job_id, tags=tags, description=description, func=func, trigger=trigger, anchor=LONG_AGO,
        created_at=LONG_AGO, updated_at=LONG_AGO, **fields,
    )  # fmt: skip
    until = {"verify-backups": 6, "archive-logs": 1.9, "vacuum-analyze": 13}.get(job_id, 0)
    job.next_run_time = None if paused or broken else built.next_after(fields.get("paused_until") or NOW)
    runs = sorted(
        _runs(job, _times(built, NOW - timedelta(days=until)), typical, chance), key=lambda run: run.scheduled_time
    )
    finished = [run for run in runs if run.finished_at and run.status not in (RunStatus.MISSED, RunStatus.SKIPPED)]
    if finished:
        job.last_status, job.last_run_at = finished[-1].status, finished[-1].finished_at
        job.run_count = len(finished)
        job.failure_count = sum(run.status != RunStatus.SUCCEEDED for run in finished)
    return job, runs


def _times(trigger: Any, until: datetime) -> Iterator[datetime]:
    at, count = until, 0
    while count < 900 and (at := trigger.latest_until(at - timedelta(microseconds=1))) and at > LONG_AGO:
        yield at
        count += 1


def _runs(job: Job, times: Iterator[datetime], typical: float, chance: random.Random) -> Iterator[Run]:
    for number, at in enumerate(times):
        yield from _runs_at(job, at, number, typical, chance)


def _runs_at(job: Job, at: datetime, number: int, typical: float, chance: random.Random) -> Iterator[Run]:
    delay = timedelta(milliseconds=chance.choice((29, 36, 40, 44, 61, 84)))
    took = timedelta(seconds=typical * chance.uniform(0.75, 1.2))
    if job.pk == "sync-crm" and number < 4:
        start = at + delay
        for attempt, wait in ((1, 0), (2, 10), (3, 20)):
            queued, start = start, start + timedelta(seconds=wait)
            retried = {"trigger": "retry", "queued_at": queued, "available_at": start - delay} if attempt > 1 else {}
            yield _run(job, at, start, timedelta(seconds=10.3), "failed", attempt=attempt,
                       output=OUTPUT, output_marks=MARKS, traceback=TRACEBACK, **retried,
                       error="ConnectTimeout: crm.example.com:443 did not answer within 10 s")  # fmt: skip
            start += timedelta(seconds=10.3)
    elif job.pk == "check-certificates" and number < 2:
        yield _run(job, at, at + delay, took, "failed",
                   error="CertificateExpiring: api.example.com expires in 6 days", traceback=TRACEBACK)  # fmt: skip
    elif job.pk == "refresh-exchange-rates" and number == 3:
        yield _run(job, at, at + delay, timedelta(seconds=30), "timed_out", error=TIMEOUT_TEXT, attempt=1)
        yield _run(job, at, at + timedelta(seconds=42), took, "succeeded", attempt=2, trigger="retry")
    elif job.pk == "reindex-search" and number % 2 == 0:
        reason = f"run {40_000 + number} was active; max_instances is 1"
        yield _run(job, at, None, timedelta(), "skipped", reason=reason)
    elif job.pk == "import-orders" and number in (190, 191):
        yield _run(job, at, None, timedelta(), "missed", reason="seen 71.0 s late; misfire_grace_time is 60 s")
    elif number == 0 and job.pk in ("import-orders", "rollup-metrics", "export-warehouse"):
        asked = {"cancel_requested_at": NOW - timedelta(seconds=24), "reason": "cancelled by ana"}
        yield _run(job, at, at + delay, None, "running", scheduler_id="web-2-4121-0a1b", output=OUTPUT[:300],
                   output_marks=MARKS, **(asked if job.pk == "rollup-metrics" else {}))  # fmt: skip
    elif chance.random() < 0.003:
        yield _run(job, at, at + delay, took * 1.5, "failed", error="OperationalError: deadlock detected")
    else:
        yield _run(job, at, at + delay, took, "succeeded", result={"rows": chance.randrange(1, 500)})


def _run(job: Job, at: datetime, started: datetime | None, took: timedelta | None, status: str, **fields: Any) -> Run:
    finished = None if took is None else (started or at) + took
    assert duration(started, finished) is None or finished is not None
    return Run(
        job_id=job.pk, func=job.func, kwargs=job.kwargs, status=status, scheduled_time=at,
        queued_at=fields.pop("queued_at", at + timedelta(milliseconds=3)), started_at=started, finished_at=finished,
        executor=fields.pop("executor", job.executor), scheduler_id=fields.pop("scheduler_id", "web-1-4121-0a1b"),
        **{"trigger": "schedule", **fields},
    )  # fmt: skip
