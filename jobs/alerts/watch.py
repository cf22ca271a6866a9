"""Watch for conditions without the end of a run: runs that take too long, and deadlines that pass without a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef

from ..core.alerts import AlertEvent, IncidentKind, deadline_on
from ..core.exceptions import CronzimusError
from ..core.runs import RunStatus, is_test
from ..core.statistics import percentile
from ..core.times import MICROSECOND
from ..definitions.triggers import trigger_of
from ..models import AlertRule, Incident, Job, Run
from ..models.lookups import IsAmong
from .incidents import Condition, End, notifications, observe, raise_incident, repeat

MEASURED_RUNS = 50
"""The last successful runs from which the usual duration of a job is computed."""
USUAL_SHARE = 0.95
"""The share of these runs that take no longer than usual."""
MOST_RUNNING = 10_000
"""Running runs that are watched, at most, the longest first."""
DAY = timedelta(days=1)
NEEDED = ("id", "tags", "trigger", "anchor", "max_runs", "claimed_count")
"""The columns of a job that tell whether a deadline is about it."""


def watch(now: datetime) -> None:
    """Raise the incidents of runs that take too long and of deadlines, and repeat the notifications of a day ago."""
    _recover_missed(now)
    rules = list(AlertRule.objects.filter(enabled=True).prefetch_related("channels"))
    too_long = [rule for rule in rules if rule.wants(AlertEvent.TOO_LONG)]
    if too_long:
        _watch_running(too_long, now)
    for rule in rules:
        if rule.wants(AlertEvent.DEADLINE) and rule.deadline is not None:
            _watch_deadline(rule, now)
    if rules:
        repeat(now)


def _recover_missed(now: datetime) -> None:
    """Recover the incidents whose job has succeeded since, by its row.

    A scheduler reads only from time to time which jobs have an open incident. Without this, a success would miss an
    incident that another scheduler has opened since.
    """
    since = Job.objects.filter(
        pk=OuterRef("job_id"), last_status=RunStatus.SUCCEEDED, last_run_at__gt=OuterRef("last_at")
    )
    recovered = Incident.objects.open().filter(Exists(since)).values_list("job_id", flat=True).distinct()
    for job in Job.objects.filter(pk__in=list(recovered)).only("id", "last_run_at"):
        with transaction.atomic():
            observe([End(job.id, None, RunStatus.SUCCEEDED, "", job.last_run_at or now)], now)


def _watch_running(rules: list[AlertRule], now: datetime) -> None:
    running = Run.objects.filter(status=RunStatus.RUNNING, started_at__isnull=False).order_by("started_at")
    # Only the longest run of each job: there is one incident, and each of several runs would send it again.
    longest: dict[str, tuple[int, datetime]] = {}
    for run_id, job_id, started_at in running.values_list("pk", "job_id", "started_at")[:MOST_RUNNING]:
        if started_at is not None and not is_test(job_id):
            longest.setdefault(job_id, (run_id, started_at))
    tags = dict(Job.objects.filter(pk__in=longest).values_list("id", "tags"))
    for job_id, (run_id, started_at) in longest.items():
        seconds = (now - started_at).total_seconds()
        limits = {rule: _limit(rule, job_id) for rule in rules if rule.applies_to(job_id, tags.get(job_id))}
        passed = {rule: limit for rule, limit in limits.items() if limit is not None and seconds > limit}
        if passed:
            error = f"run {run_id} has been running for {seconds:.0f} s, more than {min(passed.values()):.0f} s"
            condition = Condition(
                kind=IncidentKind.TOO_LONG, job_id=job_id, run_id=run_id, error=error, fingerprint=f"run {run_id}"
            )
            raise_incident(condition, now, rules=list(passed))


def _limit(rule: AlertRule, job_id: str) -> float | None:
    """Return the seconds after which a run takes too long: fixed, or by the job's recent runs."""
    if rule.too_long_seconds is not None:
        return float(rule.too_long_seconds)
    if rule.too_long_factor is None:
        return None
    ended = Run.objects.filter(job_id=job_id, status=RunStatus.SUCCEEDED, started_at__isnull=False)
    newest = ended.order_by("-scheduled_time", "-attempt")[:MEASURED_RUNS]
    durations = [took.total_seconds() for took in newest.values_list(F("finished_at") - F("started_at"), flat=True)]
    typical = percentile(sorted(durations), USUAL_SHARE)
    return None if typical is None else max(typical * rule.too_long_factor, 1.0)


def _watch_deadline(rule: AlertRule, now: datetime) -> None:
    assert rule.deadline is not None  # noqa: S101 (the caller asks for it)
    start, deadline = deadline_on(now, rule.deadline, rule.zone)
    if now < deadline:
        return
    error, day = f"no run succeeded by {deadline:%H:%M} ({deadline.tzinfo})", f"deadline {start:%Y-%m-%d}"
    known = Incident.objects.open().filter(kind=IncidentKind.DEADLINE, fingerprint=day).only("job_id", "notified")
    notified = {incident.job_id for incident in known if str(rule.pk) in notifications(incident)}
    # The row of most jobs shows a success of today; only for the others their runs are read.
    unsure = Job.objects.exclude(last_status=RunStatus.SUCCEEDED, last_run_at__gte=start)
    done = Run.objects.filter(job_id=OuterRef("pk"), status=RunStatus.SUCCEEDED, finished_at__gte=start)
    missing = unsure.exclude(Exists(done.filter(scheduled_time__gte=start - DAY)))
    concerned = [
        job
        for job in missing.filter(created_at__lte=deadline - timedelta(minutes=1)).only(*NEEDED)
        if job.id not in notified and rule.applies_to(job.id, job.tags)
    ]
    for job in _late(concerned, start, deadline):
        condition = Condition(kind=IncidentKind.DEADLINE, job_id=job.id, error=error, fingerprint=day)
        raise_incident(condition, now, rules=[rule])


def _late(jobs: Sequence[Job], start: datetime, deadline: datetime) -> list[Job]:
    """Return those of `jobs`, which have not succeeded since `start`, that should have succeeded by their deadline."""
    expected = {job.id: since for job in jobs if (since := expected_since(job, start, deadline)) is not None}
    earlier = [job_id for job_id, since in expected.items() if since < start]
    ended = Run.objects.filter(
        IsAmong("job_id", earlier), status=RunStatus.SUCCEEDED, scheduled_time__gte=deadline - DAY
    )
    done = dict(ended.values_list("job_id").annotate(Max("finished_at"))) if earlier else {}
    return [job for job in jobs if job.id in expected and not _is_done(done.get(job.id), expected[job.id])]


def _is_done(finished_at: datetime | None, since: datetime) -> bool:
    return finished_at is not None and finished_at >= since


def expected_since(job: Job, start: datetime, deadline: datetime) -> datetime | None:
    """Return the instant from which on a success meets a deadline; None if the job need not run for it.

    It is the start of the day, if the job fires between it and the deadline. Otherwise it is the job's first fire time
    in the 24 hours before the deadline: a job of 23:30 with a deadline at 02:00 runs on the day before. A job without
    either, such as one of weekdays on a Sunday, need not run.

    Args:
        job: with the fields `NEEDED`.
        start: the start of the deadline's day, aware.
        deadline: aware.
    """
    try:
        trigger = trigger_of(job)
    except CronzimusError:  # a damaged row: nobody can tell
        return start
    if job.max_runs is not None and job.claimed_count >= job.max_runs:
        return None
    if (first := trigger.next_after(start - MICROSECOND)) is not None and first <= deadline:
        return start
    if (first := trigger.next_after(deadline - DAY)) is not None and first <= deadline:
        return first
    # An interval counts from its anchor: one that has just been set says nothing about the time before.
    is_new = job.trigger.get("type") == "interval" and job.anchor > deadline - DAY
    return start if is_new else None
