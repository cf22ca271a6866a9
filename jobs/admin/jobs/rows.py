"""The rows of the list of jobs: the job, its last runs, and its next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.utils.html import escape, format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.exceptions import CronzimusError
from ...core.runs import DID_NOT_RUN, JobState, RunStatus
from ...definitions.triggers import trigger_of
from ...models import Job, Run
from ...selectors import recent, states
from ...selectors.backlog import is_overdue
from ...selectors.descriptions import Described, descriptions, words_of
from ...selectors.recent import Gaps, Recent
from ...selectors.statistics import Cause
from .. import charts, display
from ..base import model_url
from ..times import NOTHING, Times, duration

GAP_WORDS = {
    Cause.OVERLAP: "its run outlasts the interval",
    Cause.LATE: "seen too late, past its grace",
    Cause.CROWDED: "more were due at once than may run together",
}
"""The reasons for fire times that did not run. Decisions of people are left out: they know them."""
TELLING = 0.1
"""The share of a job's fire times that did not run from which on the list mentions it."""
FEW = 3
"""Fire times that did not run, from which on the list mentions them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job in the list. `url` is the prefix of the addresses of its actions.

    Texts that stand in several places are escaped once, here: escaping is a tenth of the page.
    """

    id: SafeString
    url: SafeString
    runs_url: SafeString
    name: str
    tags: Sequence[str]
    description: SafeString
    state: SafeString
    problem: str
    bars: SafeString
    sentence: str
    gap: str
    pace: str
    last: SafeString | str
    last_url: str
    last_note: SafeString | str
    schedule: SafeString
    zone: str
    next: SafeString | str
    next_note: SafeString | str
    typical: str
    paused: bool
    asks: bool
    """Whether fire times fell into its pause, so that a resume needs a choice."""


def job_rows(site: AdminSite, jobs: Sequence[Job], times: Times) -> list[JobRow]:
    """Return the rows of `jobs`, annotated with `DEFINITION` as `definition`. One query reads all their runs."""
    runs = recent.recent_runs([job.pk for job in jobs])
    known = descriptions()
    lists = _Lists(model_url(site, Job, "changelist"), model_url(site, Run, "changelist"), times)
    return [lists.row(job, known.of(job.definition), runs[job.pk]) for job in jobs]  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Lists:
    jobs: str
    runs: str
    times: Times

    def row(self, job: Job, about: Described, runs: Sequence[Recent]) -> JobRow:
        state, error = states.state_with(job, self.times.now, about.problem)
        last, last_url, last_note = self._last(job, about.zone, runs)
        next_run, next_note = self._next(job, about.zone, state)
        usual = recent.usual(runs).median
        gap = gap_words(recent.gaps(runs))
        paused = job.is_paused(self.times.now)
        return JobRow(
            id=escape(job.pk), url=escape(f"{self.jobs}{quote(job.pk)}/"),
            runs_url=escape(f"{self.runs}?{urlencode({'job': job.pk})}"),
            name="" if job.name == job.pk else str(job.name), description=escape(job.description),
            tags=[str(tag) for tag in job.tags] if isinstance(job.tags, list) else [],
            state=state_badge(job, state), problem=display.first_line(error or (job.pause_reason if paused else "")),
            bars=charts.run_bars(runs, self.times.now), sentence=charts.bars_sentence(runs),
            gap=gap, pace=pace_words(recent.usual_wait(runs), usual) if gap else "",
            last=last, last_url=last_url, last_note=last_note,
            schedule=escape(words_of(job.definition)), zone=about.zone.key,  # type: ignore[attr-defined]
            next=next_run, next_note=next_note,
            typical=_length(usual),
            paused=paused, asks=paused and fell_into_pause(job, self.times.now) is not None,
        )  # fmt: skip

    def _last(self, job: Job, zone: ZoneInfo, runs: Sequence[Recent]) -> tuple[SafeString | str, str, SafeString | str]:
        """Return the badge of the last run, its address, and a note."""
        going = next((run for run in runs if run.status == RunStatus.RUNNING), None)
        if going is not None:
            return display.run_badge(going.status), self._run_url(going), self._elapsed(going, runs)
        ran = next((run for run in runs if run.status not in DID_NOT_RUN), None)
        if ran is not None and ran.status == RunStatus.QUEUED:
            return display.run_badge(ran.status), self._run_url(ran), self.times.ago(ran.at, zone)
        if not job.last_status:
            return format_html('<span class="quiet">{}</span>', "never ran"), "", ""
        streak = recent.streak(runs)
        note = self.times.ago(job.last_run_at, zone)
        if streak is not None and streak.fire_times > 1:
            note = format_html("{} · {}{} in a row", note, streak.fire_times, "+" if streak.more else "")
        return display.run_badge(job.last_status), self._run_url(ran) if ran else "", note

    def _elapsed(self, going: Recent, runs: Sequence[Recent]) -> SafeString | str:
        if going.started is None:
            return ""
        p95 = recent.usual(runs).p95
        late = p95 is not None and (self.times.now - going.started).total_seconds() > p95
        elapsed = self.times.elapsed(going.started)
        return format_html("{} · long", elapsed) if late else format_html("for {}", elapsed)

    def _run_url(self, run: Recent) -> str:
        return f"{self.runs}{run.id}/change/"

    def _next(self, job: Job, zone: ZoneInfo, state: JobState) -> tuple[SafeString | str, SafeString | str]:
        """Return the time to the next fire time, and that time; or the reason why there is none."""
        if state is JobState.PAUSED:
            until = job.paused_until if not job.paused else None
            at = job.paused_at if until is None else until
            note = self.times.day(at, zone) if at else ""
            return "paused", format_html("{} {}", "since" if until is None else "until", note) if note else ""
        if job.next_run_time is None:
            return NOTHING, "broken" if state is JobState.BROKEN else "no fire time left"
        shown = self.times.at(job.next_run_time, zone)
        if is_overdue(job.next_run_time, self.times.now):
            return self.times.ago(job.next_run_time, zone), format_html("{} · overdue", shown)
        return self.times.ago(job.next_run_time, zone), shown


def state_badge(job: Job, state: JobState) -> SafeString:
    """Return the badge of a job in `state`; an active job whose last run failed is "failing"."""
    if states.is_failing(job, state):
        return display.failing_badge()
    return display.job_badge(state)


def gap_words(gaps: Gaps | None) -> str:
    """Return "14 of 48 did not run: its run outlasts the interval", or "" if there is nothing to mention."""
    if gaps is None or gaps.why not in GAP_WORDS or gaps.number < max(TELLING * gaps.fire_times, FEW):
        return ""
    return f"{gaps.number:,} of {gaps.fire_times:,} did not run: {GAP_WORDS[gaps.why]}"


def pace_words(wait: float | None, usual: float | None) -> str:
    """Return "waits 40 ms, runs 7 m 05 s" for a usual wait and duration in seconds, or what is known of it."""
    known = [("waits", wait), ("runs", usual)]
    # Not broken within a length: "7 m 29" and "s" would stand on two lines.
    return ", ".join(
        f"{word} {_length(seconds)}".replace(" ", "\N{NO-BREAK SPACE}")
        for word, seconds in known
        if seconds is not None
    )


def _length(seconds: float | None) -> str:
    return NOTHING if seconds is None else duration(timedelta(seconds=seconds))


def fell_into_pause(job: Job, now: datetime) -> datetime | None:
    """Return the first fire time in the pause of a job; None for none, or if its trigger is damaged."""
    since: Any = job.paused_at or job.updated_at
    try:
        first = trigger_of(job).next_after(since)
    except (CronzimusError, TypeError):  # a damaged row of SQLite may have any value as an instant
        return None
    return first if first is not None and first <= now else None
