"""Jobs that need attention: failing and broken ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from ...core.alerts import IncidentKind, IncidentState
from ...core.runs import JobState
from ...models import Incident, Job, Run
from ...models.run import error_start
from ...selectors import counts, recent, states
from .. import display
from ..times import Times

MOST = 8
"""Jobs of each kind that the overview names."""
FIRST_LINE = 200
"""Characters of an error that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A job that needs attention, and the reason."""

    job_id: str
    badge: SafeString
    headline: str
    detail: str
    run_id: int | None = None
    """The run that failed last; None if the job is broken."""
    incident: int | None = None
    """The incident of its failures, if it is open and nobody has acknowledged it."""
    acknowledged: str = ""
    """The words for who has acknowledged it, and when."""


def attention(times: Times) -> list[Trouble]:
    """Return the jobs that need attention: the latest failures first, and last those that somebody has acknowledged."""
    return sorted([*_failing(times), *_broken(times)], key=lambda trouble: bool(trouble.acknowledged))


def _failing(times: Times) -> list[Trouble]:
    jobs = list(counts.jobs_of("failing", times.now).order_by("-last_run_at").only(*NEEDED)[:MOST])
    runs = recent.recent_runs([job.pk for job in jobs])
    streaks = {job.pk: recent.streak(runs[job.pk]) for job in jobs}
    errors = first_lines([streak.last.id for streak in streaks.values() if streak])
    incidents = _incidents([job.pk for job in jobs])
    return [
        replace(_failing_one(job, streaks[job.pk], errors, times), **_handled(incidents.get(job.pk), times))
        for job in jobs
    ]


def _incidents(job_ids: list[str]) -> dict[str, Incident]:
    """Return the incidents of the failures of jobs, by the id of the job (index `incident_open`)."""
    found = Incident.objects.open().filter(job_id__in=job_ids, kind=IncidentKind.FAILURE)
    return {str(one.job_id): one for one in found.only("id", "job_id", "state", "acknowledged_at", "acknowledged_by")}


def _handled(incident: Incident | None, times: Times) -> dict[str, Any]:
    """Return whether an incident can be acknowledged, or who has done it."""
    if incident is None:
        return {}
    if incident.state == IncidentState.OPEN:
        return {"incident": incident.pk}
    by = incident.acknowledged_by or "somebody"
    at = f" at {times.short(incident.acknowledged_at, seconds=False)}" if incident.acknowledged_at else ""
    return {"acknowledged": f"acknowledged by {by}{at}"}


NEEDED = ("id", "trigger", "anchor", "last_run_at", "last_status")
"""The columns of a failing job that are read."""


def _failing_one(job: Job, streak: recent.Streak | None, errors: dict[int, str], times: Times) -> Trouble:
    badge = display.failing_badge()
    if streak is None:
        return Trouble(job_id=job.pk, badge=badge, headline=f"{job.last_status.replace('_', ' ')}", detail="")
    return Trouble(
        job_id=job.pk, badge=badge, headline=streak_words(streak, times.short(streak.since, seconds=False)),
        detail=errors.get(streak.last.id, ""), run_id=streak.last.id,
    )  # fmt: skip


def streak_words(streak: recent.Streak, since: str) -> str:
    """Return "failed 4 times in a row since 13:45"."""
    if streak.fire_times == 1:
        return f"failed at {since}"
    more = " or more" if streak.more else ""
    return f"failed {streak.fire_times}{more} times in a row since {since}"


def first_lines(run_ids: list[int]) -> dict[int, str]:
    """Return the first line of the error, or else of the reason, of each run, by its id."""
    found = Run.objects.filter(pk__in=run_ids).annotate(error_start=error_start(FIRST_LINE))
    return {pk: display.first_line(error or "") for pk, error in found.values_list("pk", "error_start")}


def _broken(times: Times) -> list[Trouble]:
    jobs = counts.jobs_of("broken", times.now).order_by("-updated_at")[:MOST]
    return [
        Trouble(
            job_id=job.pk, badge=display.job_badge(JobState.BROKEN), headline=_since(job.updated_at, times),
            detail=display.first_line(states.job_state(job, times.now)[1]),
        )
        for job in jobs
    ]  # fmt: skip


def _since(at: datetime, times: Times) -> str:
    return f"cannot run; changed last {times.short(at, seconds=False)}"
