"""The figures of /metrics, read from the database at each scrape, so that they are right for any number of processes.

Runs are counted from the statistics, which do not fall when runs are pruned, and lag behind by at most two minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Sum

from ..conf import conf
from ..core.alerts import DeliveryState, IncidentKind
from ..core.runs import RunStatus
from ..core.statistics import DELAYS, DURATIONS, added
from ..models import Control, Delivery, Incident, Job, Run, RunTotal, Scheduler
from ..models.run import DISPATCHED
from . import backlog, workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(now: datetime) -> bytes:
    """Return all series in Prometheus's text format. Raises `ImportError` without prometheus-client."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return generate_latest(registry) + "".join(_job_series()).encode()


class _Collector:
    """A collector of prometheus-client for the figures of the whole site."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Any]:
        """Yield the families of metrics."""
        yield from _runs()
        yield from _schedulers(self._now)
        yield from _workers(self._now)
        yield from _backlog(self._now)
        yield from _alerts()


def _runs() -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    counted = CounterMetricFamily("cronzimus_runs", "Runs that have ended, by status.", labels=["status"])
    found = dict(RunTotal.objects.values_list("status").annotate(Sum("count")).values_list("status", "count__sum"))
    for status in RunStatus:
        if status in found or status is RunStatus.SUCCEEDED:
            counted.add_metric([status], found.get(status, 0))
    yield counted
    durations: list[int] = []
    delays: list[int] = []
    seconds = delay_seconds = 0.0
    for row in RunTotal.objects.values_list("durations", "delays", "seconds", "delay_seconds").iterator():
        durations, delays = added(durations, row[0]), added(delays, row[1])
        seconds, delay_seconds = seconds + row[2], delay_seconds + row[3]
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


def _workers(now: datetime) -> Iterator[Any]:
    if not conf.CELERY_BROKER_URL:
        return
    found = workers.running_workers()
    alive = [worker for worker in found if worker.is_alive(now)]
    yield _gauge("cronzimus_workers_alive", "Celery workers that hold their lease.", len(alive))
    yield _gauge("cronzimus_worker_slots", "Functions that they can run at once.", sum(w.slots for w in alive))
    yield _gauge("cronzimus_worker_runs_running", "Runs that they have, by the last heartbeats.",
                 sum(worker.running_runs for worker in alive))  # fmt: skip
    without = len(workers.unserved_queues(found, now))
    yield _gauge("cronzimus_queues_without_worker", "Queues of jobs that no living worker serves.", without)
    on_their_way = Run.objects.active().filter(scheduler_id=DISPATCHED).count()
    yield _gauge("cronzimus_runs_dispatched", "Runs that are on their way to a worker.", on_their_way)


def _backlog(now: datetime) -> Iterator[Any]:
    due, waiting = backlog.due_jobs(now), backlog.waiting_runs(now)
    yield _gauge("cronzimus_jobs_due", "Jobs that are due and not claimed.", due.number)
    yield _gauge("cronzimus_jobs_overdue", "Jobs that have been due for more than a minute.", due.overdue)
    yield _gauge("cronzimus_due_age_seconds", "How long the longest due job has been due.", due.oldest)
    yield _gauge("cronzimus_runs_waiting", "Runs that could start and that no scheduler has taken.", waiting.number)
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


def _job_series() -> Iterator[str]:
    """Yield the series by job as text: for 10,000 jobs prometheus-client would take most of a scrape."""
    totals = list(RunTotal.objects.order_by("job_id").values_list("job_id", "status", "count", "last_at"))
    known = dict(Job.objects.values_list("id", "last_status"))
    yield from _family(
        "cronzimus_job_runs_total", "counter", "Runs of a job that have ended, by status.",
        (f'{{job="{job}",status="{status}"}} {count}.0' for job, status, count, _ in totals if job in known),
    )  # fmt: skip
    yield from _family(
        "cronzimus_job_last_success_timestamp_seconds", "gauge", "When a run of a job succeeded last.",
        (f'{{job="{job}"}} {last.timestamp()!r}' for job, status, _, last in totals
         if last is not None and status == RunStatus.SUCCEEDED and job in known),
    )  # fmt: skip
    yield from _family(
        "cronzimus_job_last_run_succeeded", "gauge", "1 where the last run of a job succeeded, else 0.",
        (f'{{job="{job}"}} {int(status == RunStatus.SUCCEEDED)}.0' for job, status in known.items() if status),
    )  # fmt: skip


def _family(name: str, kind: str, text: str, samples: Iterable[str]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for sample in samples:
        yield f"{name}{sample}\n"
