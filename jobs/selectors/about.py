"""Facts about this site: versions, optional parts, the size of its data, and a bundle of all that for support."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import metadata, util
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.models import Q

from .. import __version__
from ..conf import DEFAULTS, conf
from ..core.secrets import MASK, looks_secret, masked
from ..core.zone_data import used_data
from ..functions import registry
from ..models import Job, Run, Scheduler
from . import counts
from .doctor import findings
from .workers import Fleet

PACKAGES = ("Django", "djangorestframework", "APScheduler", "django-apscheduler", "psycopg", "celery", "orjson")
"""The packages whose versions are shown, if they are installed."""
MAX_COUNTED = 100_000
"""Runs that are counted, at most, if the database has no estimate."""
ESTIMATE_SQL = (
    "SELECT sum(GREATEST(reltuples, 0)) FROM pg_class WHERE oid = %s::regclass AND relkind = 'r' "
    "OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %s::regclass)"
)
"""PostgreSQL's estimate of the rows of a table, or of its partitions (docs/scale.md)."""


class Part(NamedTuple):
    """An optional part of a site: whether it is on, or else the setting or the package that it needs."""

    name: str
    on: bool
    needs: str


def versions() -> dict[str, str]:
    """Return the versions of Cronzimus, Python, packages and the database, by name."""
    found = {"Cronzimus": __version__, "Python": platform.python_version(), "Database": database()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"Time zone data": str(used_data()), "Time zone": settings.TIME_ZONE}


def database() -> str:
    """Return the name and the version of the database."""
    if connection.vendor == "postgresql":
        number: int = connection.pg_version  # type: ignore[attr-defined]
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if connection.vendor == "sqlite":
        import sqlite3

        return f"SQLite {sqlite3.sqlite_version}"
    return connection.display_name


def parts() -> list[Part]:
    """Return the optional parts."""
    return [
        Part("API", bool(conf.SCHEDULER_API_ENABLED), "SCHEDULER_API_ENABLED is false"),
        _packaged("Description of the API", "drf_spectacular", "drf-spectacular"),
        _packaged("Metrics for Prometheus", "prometheus_client", "prometheus-client"),
        _packaged("Traces", "opentelemetry", "opentelemetry-api"),
        _packaged("Jobs as YAML files", "yaml", "PyYAML"),
        _packaged("Alerts through Apprise", "apprise", "apprise"),
        _set("Celery workers", "CELERY_BROKER_URL", "celery"),
        _set("Tasks of your own Celery application", "CELERY_APP", "celery"),
        _set("Shell commands as jobs", "JOB_SHELL"),
        _set("Limit of requests to the API", "API_RATE_LIMIT"),
        _set("Ping of a dead man’s switch", "ALERT_PING_URL"),
    ]


def _packaged(name: str, module: str, package: str) -> Part:
    return Part(name, util.find_spec(module) is not None, f"{package} is not installed")


def _set(name: str, setting: str, package: str = "") -> Part:
    if package and util.find_spec(package) is None:
        return Part(name, False, f"{package} is not installed")
    return Part(name, bool(getattr(conf, setting)), f"{setting} is not set")


class Sizes(NamedTuple):
    """The size of the data: bytes, jobs, runs (None for more than `MAX_COUNTED`), and the oldest fire time."""

    size: int | None
    jobs: int
    runs: int | None
    oldest: datetime | None


def sizes() -> Sizes:
    """Return the size of the data. Runs are estimated on PostgreSQL, and counted up to `MAX_COUNTED` elsewhere."""
    oldest = Run.objects.order_by("scheduled_time", "id").values_list("scheduled_time", flat=True).first()
    return Sizes(_bytes(), Job.objects.count(), _runs(), oldest)


AGES = (7, 30, 90, 365)
"""The ages in days for which the number of older runs is told."""
MAX_OLDER = 10_000
"""Older runs that are counted."""


class Older(NamedTuple):
    """Ended runs whose fire time is more than `days` ago: their number, None for more than `MAX_OLDER`."""

    days: int
    runs: int | None


class Retention(NamedTuple):
    """How long records are kept: jobs that limit their runs, jobs that keep them all, and the runs by their age."""

    limited: int
    unlimited: int
    older: list[Older]


def retention(now: datetime) -> Retention:
    """Return what is kept, and how many runs a shorter time would free (index `run_newest`)."""
    limits = Q(keep_runs__isnull=False) | Q(keep_days__isnull=False)
    limited, jobs = Job.objects.filter(limits).count(), Job.objects.count()
    return Retention(limited, jobs - limited, [Older(days, _older(now - timedelta(days=days))) for days in AGES])


def _older(cutoff: datetime) -> int | None:
    found = Run.objects.filter(scheduled_time__lt=cutoff).order_by().values("pk")
    number = found[: MAX_OLDER + 1].count()
    return number if number <= MAX_OLDER else None


def _bytes() -> int | None:
    queries = {
        "postgresql": "SELECT pg_database_size(current_database())",
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    }
    if connection.vendor not in queries:
        return None
    with connection.cursor() as cursor:
        cursor.execute(queries[connection.vendor])
        return int(cursor.fetchone()[0])


def _runs() -> int | None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(ESTIMATE_SQL, [Run._meta.db_table] * 2)
            estimate = int(cursor.fetchone()[0])
        if estimate > MAX_COUNTED:
            return estimate
    number = Run.objects.order_by().values("pk")[: MAX_COUNTED + 1].count()
    return number if number <= MAX_COUNTED else None


def bundle(now: datetime) -> dict[str, Any]:
    """Return the facts that a helper needs, as JSON values, without arguments, output and secrets."""
    size, jobs = sizes(), counts.job_counts(now)
    return {
        "made_at": now.isoformat(),
        "versions": versions(),
        "platform": platform.platform(),
        "debug": bool(settings.DEBUG),
        "parts": [part._asdict() for part in parts()],
        "findings": [masked(finding._asdict()) for finding in findings(now)],
        "settings": dict(_settings()),
        "sizes": {"bytes": size.size, "jobs": size.jobs, "runs": size.runs,
                  "oldest_run": size.oldest.isoformat() if size.oldest else None},
        "jobs_by_state": {name: getattr(jobs, name) for name in counts.COUNTED_KINDS},
        "functions": len(registry.functions()),
        "schedulers": list(Scheduler.objects.filter(stopped_at=None).values(
            "id", "version", "zone_data", "broker", "threads", "processes", "started_at", "heartbeat_at", "lease_until",
            "queued_runs", "running_runs", "drained_at", "clock_skew", "memory")),
        "workers": [{"id": one.id, "version": one.version, "broker": one.broker, "queues": one.queues,
                     "slots": one.slots, "running": one.running_runs, "heartbeat_at": one.heartbeat_at}
                    for one in Fleet(now).running],
    }  # fmt: skip


def _settings() -> Iterator[tuple[str, Any]]:
    for name in DEFAULTS:
        yield name, _shown(name, getattr(conf, name))


def _shown(name: str, value: Any) -> Any:
    """Return the value of a setting: of a URL only the scheme and the host, of jobs and secrets only the number."""
    if name in ("JOBS", "SECRETS"):
        return f"{len(value)} of them"
    if isinstance(value, str) and value and (looks_secret(name) or name.endswith("_URL")):
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.hostname or ''}/{MASK}" if parts.scheme else MASK
    return masked(value)
