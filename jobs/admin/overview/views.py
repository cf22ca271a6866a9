"""The overview: one sentence first, then the figures, then the lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.retries import attempts_allowed
from ...core.runs import FAILURES, RunStatus, host_of
from ...models import Incident, Job, Run, Scheduler
from ...models.run import error_start
from ...selectors import backlog, counts, recent, states, statistics
from ...selectors.obstacles import problems
from ...selectors.statistics import Bucket, Cause, NotRun
from .. import charts, display
from ..base import model_url
from ..pages import page
from ..status import Status, request_status
from ..times import Times, duration
from . import attention
from .figures import day, figures

RANGES = {
    "24h": ("24 h", timedelta(hours=1), 24),
    "7d": ("7 d", timedelta(hours=6), 28),
    "30d": ("30 d", timedelta(days=1), 30),
}
"""The ranges of the chart: a label, the length of a bar, and the number of bars."""
ROWS = 6
"""Rows of each list."""
CAUSE_LOOKS = {
    Cause.OVERLAP: ("Its last run was still going", "skip", charts.QUIET),
    Cause.LATE: ("Seen too late, past its grace", "missed", charts.LATE),
    Cause.CROWDED: ("More were due at once than may run together", "hourglass", "f-none"),
    Cause.PAUSED: ("Paused", "pause", "f-none"),
    Cause.CHANGED: ("Changed or removed while it was due", "swap", "f-none"),
    Cause.PERSON: ("Skipped by a person", "user", "f-none"),
}
"""The causes for which fire times did not run: the words, the icon and the fill."""


def overview(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Show the overview."""
    times = Times.of(request)
    status = request_status(request)
    runs, jobs, alive = status.runs, status.jobs, status.alive
    found, chosen = day(times), RANGES.get(request.GET.get("range", ""), RANGES["24h"])
    failed_url = f"{model_url(site, Run, 'changelist')}?{urlencode({'status': 'failures', 'since': '24h'})}"
    urls = {"failed": failed_url, "running": f"{model_url(site, Run, 'changelist')}?status=running"}
    slots = sum(scheduler.slots for scheduler in alive) + sum(worker.slots for worker in status.fleet.alive)
    shown = found.hours if chosen == RANGES["24h"] else statistics.buckets(times.now, chosen[1], chosen[2])
    context = {
        "jobs": jobs,
        "verdict": verdict(status, found.now, times),
        "figures": figures(found, runs, slots, times, urls),
        "attention": attention.attention(times),
        "attention_count": jobs.failing + jobs.broken,
        "ranges": [(name, label, label == chosen[0]) for name, (label, _, _) in RANGES.items()],
        "chart": _chart(site, shown, times),
        "axis": charts.axis(_axis(shown, times)),
        "legend": charts.legend("succeeded", "failed or timed out", "missed", "skipped"),
        "buckets": [(_bucket_name(bucket, times), bucket) for bucket in shown],
        "failures": _failures(times),
        "failed": f"{found.now.failed:,}" if found.now.failed else "",
        "running": _running(times),
        "running_count": f"{runs.running:,}",
        "not_run": [_not_run_row(one, times) for one in found.not_run],
        "not_run_count": f"{found.missing:,}",
        "fire_times": f"{found.fire_times:,}",
        "share": charts.share_bar([(one.number, CAUSE_LOOKS[one.why][2]) for one in found.not_run]),
        "coming": _coming(times),
        "urls": urls,
        "scheduler_alive": bool(alive),
        **_permissions(site, request),
    }
    return page(site, request, "cronzimus/overview/overview.html", title="Overview", **context)


def _permissions(site: AdminSite, request: HttpRequest) -> dict[str, bool]:
    jobs: Any = site._registry[Job]
    runs: Any = site._registry[Run]
    incidents: Any = site._registry.get(Incident)
    return {
        "may_add": jobs.has_add_permission(request),
        "may_edit": jobs.has_change_permission(request),
        "may_retry": runs.has_retry_permission(request),
        "may_cancel": runs.has_cancel_permission(request),
        "may_acknowledge": incidents is not None and incidents.has_change_incident_permission(request),
    }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all is well, in one sentence, with the details in another."""

    good: bool
    headline: str
    detail: str


def verdict(status: Status, last_day: Bucket, times: Times) -> Verdict:
    """Return the verdict."""
    jobs, late = status.jobs, _lateness(status, times)
    of_queues = [problem.headline for problem in problems(status.fleet, times.short)]
    detail = f"{late or ('Nothing is late yet.' if of_queues else 'Nothing is late.')} {_living(status.alive)}"
    of_jobs = _wrong_jobs(jobs)
    if not of_jobs and not status.alive:
        return Verdict(False, "No scheduler is running: jobs will not fire.", detail)
    if of_jobs and not of_queues:
        rest = jobs.all - jobs.failing - jobs.broken
        others = f" The other {rest:,} {'is' if rest == 1 else 'are'} well." if rest and not late else ""
        return Verdict(False, f"{of_jobs}{others}", detail)
    if of_queues:
        return Verdict(False, " ".join(filter(None, [of_jobs, *of_queues])), detail)
    if late:
        return Verdict(False, late, _living(status.alive))
    failed = f"{last_day.failed:,} failed" if last_day.failed else "none failed"
    return Verdict(True, f"All is well. {jobs.all:,} {'job' if jobs.all == 1 else 'jobs'}, {last_day.ran:,} runs in "
                         f"24 hours, {failed}.", detail)  # fmt: skip


def _wrong_jobs(jobs: counts.JobCounts) -> str:
    """Return how many jobs are failing or broken, as a sentence; "" for none."""
    wrong = []
    if jobs.failing:
        wrong.append(f"{jobs.failing:,} {'job is' if jobs.failing == 1 else 'jobs are'} failing")
    if jobs.broken:
        noun = "" if wrong else " job" if jobs.broken == 1 else " jobs"
        wrong.append(f"{jobs.broken:,}{noun} {'is' if jobs.broken == 1 else 'are'} broken")
    return f"{', '.join(wrong)}." if wrong else ""


def _lateness(status: Status, times: Times) -> str:
    """Return the jobs and runs that are late in sentences; "" for none."""
    due, stuck = backlog.due_jobs(times.now), backlog.stuck_runs(times.now, status.fleet)
    late = []
    if due.overdue:
        noun = "job is" if due.overdue == 1 else "jobs are"
        late.append(f"{due.overdue:,} {noun} late, the oldest by {duration(timedelta(seconds=due.oldest))}.")
    if stuck.number:
        noun = "run waits" if stuck.number == 1 else "runs wait"
        late.append(f"{stuck.number:,} {noun} to start, the oldest for {duration(timedelta(seconds=stuck.oldest))}.")
    return " ".join(late)


def _living(alive: list[Scheduler]) -> str:
    if len(alive) == 1:
        return f"One scheduler is alive, {alive[0].pk}."
    both = "Both schedulers are" if len(alive) == 2 else f"{len(alive) or 'No'} schedulers are"
    return f"{both if alive else 'No scheduler is'} alive."


def _chart(site: AdminSite, shown: list[Bucket], times: Times) -> SafeString:
    runs = model_url(site, Run, "changelist")

    def label(bucket: Bucket) -> str:
        parts = f"{bucket.succeeded:,} succeeded, {bucket.failed:,} failed, {bucket.missed:,} missed"
        return f"{_bucket_name(bucket, times)}: {parts}, {bucket.skipped:,} skipped"

    def url(bucket: Bucket) -> str:
        return (
            f"{runs}?{urlencode({'from': f'{bucket.since:%Y-%m-%dT%H:%MZ}', 'to': f'{bucket.until:%Y-%m-%dT%H:%MZ}'})}"
        )

    return charts.bucket_chart(shown, label, url)


def _bucket_name(bucket: Bucket, times: Times) -> str:
    local = bucket.since.astimezone(times.zone())
    length = bucket.until - bucket.since
    if length >= timedelta(days=1):
        return f"{local.day} {local:%b}"
    return f"{local:%H:%M}" if length <= statistics.HOUR else f"{local.day} {local:%b} {local:%H:%M}"


def _axis(shown: list[Bucket], times: Times) -> list[tuple[float, str]]:
    step = max(len(shown) // 6, 1)
    labels = [
        ((n + 0.5) / len(shown) if n else 0.0, _bucket_name(shown[n], times)) for n in range(0, len(shown) - 2, step)
    ]
    return [*labels, (1.0, "now")]


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A running run: its elapsed time, and its usual time."""

    run: Run
    host: str
    elapsed: SafeString
    usually: str
    bar: SafeString
    late: bool


def _running(times: Times) -> list[RunningRow]:
    # The partial index of active runs finds them; they are few, and sorted afterwards.
    ids = Run.objects.active().filter(status=RunStatus.RUNNING).values("pk")
    going = list(Run.objects.filter(pk__in=ids).only(*RUN_FIELDS).order_by("started_at")[:ROWS])
    found = recent.recent_runs(list({run.job_id for run in going}))
    return [_running_row(run, recent.usual(found[run.job_id]), times) for run in going]


RUN_FIELDS = ("id", "job_id", "status", "scheduled_time", "started_at", "finished_at", "scheduler_id", "attempt")
"""The columns of a run that the lists read."""


def _running_row(run: Run, usual: recent.Usual, times: Times) -> RunningRow:
    since = run.started_at or run.queued_at
    took = (times.now - since).total_seconds()
    late = usual.p95 is not None and took > usual.p95
    words = (
        f"usually {duration(timedelta(seconds=usual.median))}" if usual.median is not None else "it never ran before"
    )
    bar = charts.elapsed_bar(took / usual.median if usual.median else None, late=late)
    return RunningRow(run, host_of(run.scheduler_id), times.elapsed(since), words, bar, late)


@dataclass(frozen=True, slots=True)
class NotRunRow:
    """Fire times that did not run for one reason, in words, and the job with most of them."""

    words: str
    icon: str
    number: int
    job_id: str
    note: str


def _not_run_row(one: NotRun, times: Times) -> NotRunRow:
    words, icon, _ = CAUSE_LOOKS[one.why]
    job_id, number = one.jobs[0]
    if len(one.jobs) > 1:
        note = " and one more job" if len(one.jobs) == 2 else f" and {len(one.jobs) - 1} more jobs"
    else:
        note = f", {times.short(one.latest, seconds=False)}" if number <= 2 else ""
    return NotRunRow(words, icon, one.number, job_id, note)


@dataclass(frozen=True, slots=True)
class ComingRow:
    """A fire time to come."""

    job_id: str
    relative: SafeString | str
    at: SafeString | str
    late: bool


def _coming(times: Times) -> list[ComingRow]:
    jobs = Job.objects.filter(next_run_time__isnull=False).order_by("next_run_time").only(
        "id", "trigger", "anchor", "next_run_time"
    )[:ROWS]  # fmt: skip
    return [_coming_row(job, job.next_run_time, times) for job in jobs if job.next_run_time is not None]


def _coming_row(job: Job, at: datetime, times: Times) -> ComingRow:
    zone = states.zone_of(job)
    return ComingRow(job.pk, times.ago(at, zone), times.at(at, zone), backlog.is_overdue(at, times.now))


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A run that failed."""

    run: Run
    badge: SafeString
    error: str
    attempt: str
    finished: SafeString | str


def _failures(times: Times) -> list[FailureRow]:
    succeeded = Run.objects.filter(
        job_id=OuterRef("job_id"), scheduled_time=OuterRef("scheduled_time"), status=RunStatus.SUCCEEDED
    )
    found: list[Any] = []
    for status in FAILURES:  # each read off the partial index in its order
        newest = Run.objects.of_status(status).without_tests().order_by("-scheduled_time", "-id")[:ROWS]
        start = error_start(attention.FIRST_LINE)
        found += newest.only(*RUN_FIELDS).annotate(error_start=start, recovered=Exists(succeeded))
    found.sort(key=lambda run: (run.scheduled_time, run.pk), reverse=True)
    retries = dict(Job.objects.filter(pk__in={run.job_id for run in found[:ROWS]}).values_list("pk", "retries"))
    return [_failure_row(run, retries.get(run.job_id), times) for run in found[:ROWS]]


def _failure_row(run: Any, retries: Any, times: Times) -> FailureRow:
    most = max(attempts_allowed(retries), run.attempt)
    attempt = f"{run.attempt} of {most}" + (", recovered" if run.recovered else "")
    error = display.first_line(run.error_start or "")
    return FailureRow(run, display.run_badge(run.status), error, attempt, times.ago(run.finished_at))
