"""The banners of a job's page: that it fails, is broken, is paused, or has no worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...core.runs import FAILURES, JobState, RunStatus
from ...models import Job, Run
from ...models.run import error_start
from ...selectors.job_history import Mark, fire_times
from ...selectors.warnings import queue_warnings
from .. import display
from ..times import Times

FIRST_LINE = 200
"""Characters of an error that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A banner. `run` is the run whose output has details."""

    tone: str
    icon: str
    headline: str
    text: str = ""
    run: int | None = None


def job_banners(
    job: Job, state: JobState, problem: str, failing: bool, marks: Sequence[Mark], times: Times
) -> list[Banner]:
    """Return the banners of `job`, the worst first."""
    return list(_banners(job, state, problem, failing, marks, times))


def _banners(
    job: Job, state: JobState, problem: str, failing: bool, marks: Sequence[Mark], times: Times
) -> Iterator[Banner]:
    if problem:
        text = f"{problem[:1].upper()}{problem[1:]}"
        yield Banner(tone="", icon="warning", headline="This job is broken and does not run.", text=text)
    if state is JobState.PAUSED:
        yield _paused(job, times)
    for warning in queue_warnings(job.executor, job.queue, times.now):
        yield Banner(tone="late", icon="warning", headline="This job has no worker.", text=warning.message)
    if failing:
        yield from _failing(marks, times)


def _paused(job: Job, times: Times) -> Banner:
    since = f" since {times.short(job.paused_at, seconds=False)}" if job.paused_at else ""
    end = job.paused_until if not job.paused else None
    until = f" until {times.short(end, seconds=False)}" if end else ""
    by = f" by {job.paused_by}" if job.paused_by else ""
    why = "Its trigger is stopped; it can still be run by hand."
    if end:
        why = "It goes on by itself then."
    elif job.pause_reason:
        why = f"It {job.pause_reason}."
    return Banner(tone="late", icon="pause", headline=f"Paused{since}{until}{by}.", text=why)


def _failing(marks: Sequence[Mark], times: Times) -> Iterator[Banner]:
    streak: list[Mark] = []
    for mark in fire_times(marks):
        if mark.status in FAILURES:
            streak.append(mark)
        elif mark.status == RunStatus.SUCCEEDED:
            break
    if not streak:
        return
    newest = Run.objects.filter(pk=streak[0].id).annotate(error_start=error_start(FIRST_LINE))
    text = newest.values_list("error_start", flat=True).first() or ""
    since = times.short(streak[-1].at, seconds=False)
    number, text = len(streak), display.first_line(text, FIRST_LINE)
    headline = f"Failed at {since}." if number == 1 else f"Failed {number:,} times in a row since {since}."
    yield Banner(tone="", icon="warning", headline=headline, text=text, run=streak[0].id)
