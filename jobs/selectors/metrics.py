"""The figures of /metrics, read from the database at each scrape, so that they are right for any number of processes.

Runs are counted from the statistics, which do not fall when runs are pruned, and lag behind by at most two minutes.
The database writes the series by job, each family as one text: prometheus-client would take most of a second for
10,000 jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Sum

from ..core.alerts import DeliveryState, IncidentKind
from ..core.runs import DISPATCHED, RunStatus
from ..core.statistics import DELAYS, DURATIONS, added
from ..models import Control, Delivery, Incident, Job, Run, Scheduler, SiteTotal
from . import backlog
from .workers import Fleet, has_broker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(now: datetime) -> bytes:
    """Return all series in Prometheus's text format. Raises `ImportError` without prometheus-client."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return generate_latest(registry) + b"".join(_job_series())


class _Collector:
    """A collector of prometheus-client for the figures of the whole site."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        yield from _runs()
        yield from _schedulers(self._now)
        fleet = Fleet(self._now)
        yield from _workers(fleet)
        yield from _backlog(self._now, fleet)
        yield from _alerts()


def _runs() -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    counted = CounterMetricFamily("cronzimus_runs", "Runs that have ended, by status.", labels=["status"])
    totals = {total.status: total for total in SiteTotal.objects.all()}
    for status in RunStatus:
        if status in totals or status is RunStatus.SUCCEEDED:
            counted.add_metric([status], totals[status].count if status in totals else 0)
    yield counted
    durations: list[int] = []
    delays: list[int] = []
    for total in totals.values():
        durations, delays = added(durations, total.durations), added(delays, total.delays)
    seconds, delay_seconds = (sum(getattr(total, name) for total in totals.values())
                              for name in ("seconds", "delay_seconds"))  # fmt: skip
    yield HistogramMetricFamily(
        "cronzimus_run_duration_seconds", "How long runs took, from start to end.",
        buckets=_cumulative(DURATIONS, durations), sum_value=seconds,
    )  # fmt: skip
    yield HistogramMetricFamily(
        "cronzimus_run_start_delay_seconds", "How long runs started after their scheduled time.",
        buckets=_cumulative(DELAYS, delays), sum_value=delay_seconds,
    )  # fmt: skip


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, int]]:
    """Return a histogram in Prometheus's form: each bucket includes those below it."""
    names, total, shown = [*map(str, bounds), "+Inf"], 0, []
    for index, name in enumerate(names):
        total += counts[index] if index < len(counts) else 0
        shown.append((name, total))
    return shown


def _schedulers(now: datetime) -> Iterator[Any]:
    alive = Scheduler.objects.alive(now).aggregate(
        number=Count("id"), at=Max("heartbeat_at"), running=Sum("running_runs")
    )
    yield _gauge("cronzimus_schedulers_alive", "Schedulers that hold their lease.", alive["number"])
    if alive["at"] is not None:
        age = (now - alive["at"]).total_seconds()
        yield _gauge("cronzimus_heartbeat_age_seconds", "Age of the newest heartbeat of a living scheduler.", age)
    yield _gauge(
        "cronzimus_runs_running", "Runs that are being executed, by the last heartbeats.", alive["running"] or 0
    )
    paused = Control.objects.filter(paused=True).exists()
    yield _gauge("cronzimus_paused", "1 while all jobs are paused.", int(paused))


def _workers(fleet: Fleet) -> Iterator[Any]:
    if not has_broker():
        return
    alive = fleet.alive
    yield _gauge("cronzimus_workers_alive", "Celery workers that hold their lease.", len(alive))
    yield _gauge("cronzimus_worker_slots", "Functions that they can run at once.", sum(w.slots for w in alive))
    yield _gauge("cronzimus_worker_runs_running", "Runs that they have, by the last heartbeats.",
                 sum(worker.running_runs for worker in alive))  # fmt: skip
    yield _gauge("cronzimus_queues_without_worker", "Queues of jobs and waiting runs that no living worker serves.",
                 len(fleet.unserved))  # fmt: skip
    on_their_way = Run.objects.active().filter(scheduler_id=DISPATCHED).count()
    yield _gauge("cronzimus_runs_dispatched", "Runs that are on their way to a worker.", on_their_way)


def _backlog(now: datetime, fleet: Fleet) -> Iterator[Any]:
    due, waiting = backlog.due_jobs(now), backlog.waiting_runs(now, fleet)
    yield _gauge("cronzimus_jobs_due", "Jobs that are due and not claimed.", due.number)
    yield _gauge("cronzimus_jobs_overdue", "Jobs that have been due for more than a minute.", due.overdue)
    yield _gauge("cronzimus_due_age_seconds", "How long the longest due job has been due.", due.oldest)
    yield _gauge("cronzimus_runs_waiting", "Runs that could start and that nobody has taken.", waiting.number)
    yield _gauge("cronzimus_queue_age_seconds", "How long the oldest of these runs has waited.", waiting.oldest)
    enabled, paused = Job.objects.filter(paused=False).count(), Job.objects.filter(paused=True).count()
    from prometheus_client.core import GaugeMetricFamily

    jobs = GaugeMetricFamily("cronzimus_jobs", "Jobs, by whether they are paused.", labels=["paused"])
    jobs.add_metric(["false"], enabled)
    jobs.add_metric(["true"], paused)
    yield jobs


def _alerts() -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily

    incidents = GaugeMetricFamily("cronzimus_incidents_open", "Incidents that have not recovered.", labels=["kind"])
    found = Incident.objects.open().order_by().values_list("kind").annotate(number=Count("id"))
    numbers = dict(found.values_list("kind", "number"))
    for kind in IncidentKind:
        incidents.add_metric([kind], numbers.get(kind, 0))
    yield incidents
    failed = Delivery.objects.filter(state=DeliveryState.FAILED).count()
    yield _gauge("cronzimus_deliveries_failed", "Alerts that were given up.", failed)


def _gauge(name: str, text: str, value: float) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, text, value=value)


# --- series by job ---------------------------------------------------------------------------------------------------

_TEXT = {"sqlite": "CAST(group_concat({0}, '\n') AS BLOB)", "postgresql": "string_agg({0}, '\n')"}
"""SQL of many samples as one text; null for no samples."""
_SECONDS = {
    "sqlite": "unixepoch(last_at) || substr(last_at, 20)",
    "postgresql": "EXTRACT(EPOCH FROM last_at)::text",
}
"""SQL of an instant in seconds of Unix time, with all of its digits."""
_ESCAPED = r"""REPLACE(REPLACE(REPLACE({0}, '\', '\\'), '"', '\"'), '
', '\n')"""
"""SQL of a label's value as the format has it."""


def _job_series() -> Iterator[bytes]:
    """Yield the series by job, of the jobs that there are."""
    seconds, succeeded = _SECONDS[connection.vendor], f"'{RunStatus.SUCCEEDED}'"
    job = _ESCAPED.format("job_id")
    success = _sample("cronzimus_job_last_success_timestamp_seconds", seconds, job=job)
    runs, successes = _texts(
        # SQLite reads the jobs first then, however many totals removed jobs have left behind.
        "cronzimus_job CROSS JOIN cronzimus_runtotal WHERE cronzimus_runtotal.job_id = cronzimus_job.id",
        _sample("cronzimus_job_runs_total", "count || '.0'", job=job, status="status"),
        f"CASE WHEN status = {succeeded} THEN {success} END",
    )
    is_success = f"CASE last_status WHEN {succeeded} THEN '1.0' ELSE '0.0' END"
    (last,) = _texts(
        "cronzimus_job WHERE last_status <> ''",
        _sample("cronzimus_job_last_run_succeeded", is_success, job=_ESCAPED.format("id")),
    )
    yield _family("cronzimus_job_runs_total", "counter", "Runs of a job that have ended, by status.", runs)
    yield _family("cronzimus_job_last_success_timestamp_seconds", "gauge", "When a run of a job succeeded last.",
                  successes)  # fmt: skip
    yield _family("cronzimus_job_last_run_succeeded", "gauge", "1 where the last run of a job succeeded, else 0.", last)


def _sample(name: str, value: str, **labels: str) -> str:
    """Return SQL of a sample; `value` and the values of `labels` are SQL of texts."""
    parts = " || '\",".join(f"{label}=\"' || {sql}" for label, sql in labels.items())
    return f"'{name}{{{parts} || '\"}} ' || {value}"


def _texts(source: str, *samples: str) -> list[bytes]:
    """Return the `samples` of all rows of `source`, one text for each kind of sample, in one query."""
    text = _TEXT[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(text.format(sample) for sample in samples)} FROM {source}")  # noqa: S608
        row = cursor.fetchone()
    return [found.encode() if isinstance(found, str) else found or b"" for found in row]


def _family(name: str, kind: str, text: str, samples: bytes) -> bytes:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n".encode() + samples + (b"\n" if samples else b"")
