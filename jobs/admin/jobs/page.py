"""The page of a job: its state, its figures, each of its fire times, and everything else behind tabs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...core.exceptions import CronzimusError
from ...core.runs import JobState
from ...core.statistics import percentile
from ...core.times import parse_instant
from ...definitions.triggers import trigger_of
from ...models import Job, Run
from ...selectors import states
from ...selectors.job_history import (
    Counted,
    Mark,
    Usual,
    by_day,
    counted,
    fire_times,
    hours,
    in_span,
    last_runs,
    start_delays,
    usual,
)
from ...selectors.statistics import cause_of
from ...selectors.why import explain
from .. import charts, display
from ..base import model_url
from ..pages import page
from ..times import Times, duration
from ..why import why
from . import history_charts as drawn
from .job_banners import job_banners
from .rows import GAP_WORDS
from .run_dialog import takes_arguments
from .tabs import tabs

RANGES = {"24h": ("24 h", timedelta(hours=24)), "7d": ("7 d", timedelta(days=7)), "30d": ("30 d", timedelta(days=30))}
"""The ranges of the figures and of the strip: a label, and the length."""
ZOOMS = ("25", "100", "300")
"""Numbers of runs that the chart of durations shows."""
MOST_MARKS = 300
"""Runs that the strip reads. The figures of longer histories come from the statistics."""
SHOWN_MARKS = 144
"""Fire times that the strip shows."""


def job_page(admin: Any, request: HttpRequest, job: Job) -> HttpResponse:
    """Show the page of `job`."""
    times = Times.of(request)
    context = _Page(admin, request, job, times).context()
    return page(admin.admin_site, request, "cronzimus/jobs/job.html", title=job.pk, **context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of the job: `state` colours it."""

    name: str
    value: SafeString | str
    unit: str = ""
    note: SafeString | str = ""
    state: str = ""


class _Page:
    """The parts of the page, which share their data."""

    def __init__(self, admin: Any, request: HttpRequest, job: Job, times: Times) -> None:
        self.admin, self.request, self.job, self.times = admin, request, job, times
        self.zone = states.zone_of(job)
        chosen = request.GET.get("range", "")
        self.range = chosen if chosen in RANGES else "24h"
        self.since = times.now - RANGES[self.range][1]
        self.last = last_runs(job.pk, MOST_MARKS)
        self.usual = usual(self.last[: drawn.BARS])
        bars = request.GET.get("runs", "")
        self.bars = int(bars) if bars in ZOOMS else drawn.BARS
        self.hours = hours(job.pk, times.now - timedelta(days=drawn.DAYS + 7))
        self.in_range = [mark for mark in self.last if mark.at >= self.since]
        self.complete = len(self.in_range) < MOST_MARKS
        self.marks = fire_times(self.in_range)
        self.runs_url = f"{model_url(admin.admin_site, Run, 'changelist')}?{urlencode({'job': job.pk})}"

    def context(self) -> dict[str, Any]:
        job, now, admin = self.job, self.times.now, self.admin
        state, problem = states.job_state(job, now)
        failing = states.is_failing(job, state)
        return {
            "job": job,
            "tags": job.tags if isinstance(job.tags, list) else [],
            "badges": [display.job_badge(state, pill=True), *([display.failing_badge(pill=True)] if failing else [])],
            "sentence": self.sentence(),
            "zone": self.zone.key,
            "short": _line(job),
            "banners": job_banners(job, state, problem, failing, self.last, self.times),
            "figures": self.figures(state),
            "ranges": [(name, label, name == self.range) for name, (label, _) in RANGES.items()],
            "legend": charts.legend("succeeded", "failed or timed out", "running", "missed", "skipped"),
            **self.strip(),
            **self.durations(),
            "heat": self.heat(),
            **tabs(admin, self.request, job, self.zone, self.times),
            "runs_url": self.runs_url,
            **self.permissions(),
        }

    def permissions(self) -> dict[str, Any]:
        request, job, admin = self.request, self.job, self.admin
        address = admin.page_url("change", job.pk).removesuffix("change/")
        return {
            "url": address,
            "allowed": admin.allowed(request),
            "may_edit": admin.has_change_permission(request, job),
            "may_delete": admin.has_delete_permission(request, job),
            "asks": takes_arguments(job),
            "paused": job.is_paused(self.times.now),
            "pause_form": admin.pause_form(request, job),
        }

    def sentence(self) -> str:
        try:
            words = trigger_of(self.job).describe()
        except CronzimusError as error:
            return str(error)
        return capfirst(words.removesuffix(f" ({self.zone.key})"))

    def figures(self, state: JobState) -> list[Figure]:
        found = counted(self.in_range) if self.complete else in_span(self.hours, self.since)
        usually = in_span(self.hours, self.times.now - RANGES["30d"][1]).rate
        return [
            self.next_run(state), _succeeded(found, usually), _not_run(found, self.reason()), _duration(self.usual),
            _delay(self.last),
        ]  # fmt: skip

    def reason(self) -> str:
        """Return the most frequent reason why fire times of the range did not run, in words."""
        reasons = Counter(cause_of(mark.status, mark.reason) for mark in self.in_range if not drawn.ran(mark))
        return GAP_WORDS.get(reasons.most_common(1)[0][0], "") if reasons else ""

    def next_run(self, state: JobState) -> Figure:
        at = self.job.next_run_time
        if at is None:
            reasons = {JobState.PAUSED: "paused", JobState.BROKEN: "broken", JobState.COMPLETED: "no fire time left"}
            return Figure(name="Next run", value="none", note=reasons.get(state, ""))
        return Figure(name="Next run", value=self.times.ago(at, self.zone), note=self.times.at(at, self.zone))

    def label(self, mark: Mark) -> str:
        at, word = self.times.short(mark.at, self.zone), mark.status.replace("_", " ")
        took = f", {duration(timedelta(seconds=mark.seconds))}" if mark.seconds is not None else ""
        several = f", for {mark.fire_times:,} fire times" if mark.fire_times > 1 else ""
        return f"{word}, {at}{took}{several}"

    def strip(self) -> dict[str, Any]:
        shown = self.marks[:SHOWN_MARKS]
        picked = self.picked()
        found = explain(self.job, self.job.pk, picked, self.times.now) if picked else None
        at = found.runs[-1].scheduled_time if found and found.runs else picked
        first, last = (shown[-1], shown[0]) if shown else (None, None)
        middle = shown[len(shown) // 2] if len(shown) > drawn.TICKS // 2 else None
        labels = [(0.0, first)] if len(shown) >= drawn.TICKS else []
        room = max(len(shown), drawn.TICKS)
        if middle is not None:
            labels.append((1 - (shown.index(middle) + 0.5) / room, middle))
        labels.append((1.0, last))
        return {
            "ticks": drawn.tick_strip(shown, at, self.label, self.tick_url) if shown else "",
            "ticks_axis": charts.axis((x, self.times.short(m.at, self.zone, seconds=False)) for x, m in labels if m),
            "ticks_note": "" if self.complete and len(shown) == len(self.marks) else f"the last {len(shown):,} of them",
            "tick_rows": [(self.times.at(m.at, self.zone), display.run_badge(m.status), m, self.tick_url(m))
                          for m in shown[:25]],
            "why": why(found, self.job, self.times, self.admin.admin_site) if found else None,
        }  # fmt: skip

    def picked(self) -> datetime | None:
        """Return the instant in the address."""
        asked = self.request.GET.get("at", "")
        try:
            return parse_instant(asked, self.zone) if asked else None
        except (ValueError, OverflowError):
            return None

    def tick_url(self, mark: Mark) -> str:
        return f"?{urlencode({'range': self.range, 'at': mark.at.isoformat().replace('+00:00', 'Z')})}#ticks"

    def run_url(self, mark: Mark) -> str:
        return model_url(self.admin.admin_site, Run, "change", mark.id)

    def durations(self) -> dict[str, Any]:
        ran = [mark for mark in self.last if drawn.ran(mark) and mark.seconds is not None][: self.bars]
        p95 = self.usual.p95
        labels = [*([(0.0, ran[-1])] if len(ran) == self.bars else []), *((1.0, mark) for mark in ran[:1])]
        return {
            "durations": drawn.durations(ran, self.bars, p95, self.label, self.run_url) if ran else "",
            "durations_axis": charts.axis((x, self.times.short(m.at, self.zone, seconds=False)) for x, m in labels),
            "durations_count": len(ran),
            "zooms": [
                (number, f"?{urlencode({'range': self.range, 'runs': number})}#durations", int(number) == self.bars)
                for number in ZOOMS
            ],
            "p95": duration(timedelta(seconds=p95)) if p95 is not None else "",
            "duration_rows": [
                (mark, display.run_badge(mark.status), self.times.at(mark.at, self.zone),
                 duration(timedelta(seconds=mark.seconds or 0)), self.run_url(mark))
                for mark in ran[:25]
            ],
        }  # fmt: skip

    def heat(self) -> SafeString:
        zone = self.times.zone(self.zone)
        days = by_day(self.hours, zone)

        def label(day: date, found: Counted | None) -> str:
            name = f"{day.day} {day:%b}"
            if found is None or not found.all:
                return f"{name}: no fire time"
            failed = f"{found.failed:,} of {found.ran:,} failed" if found.failed else f"{found.ran:,} runs, none failed"
            return f"{name}: {failed}" + (f", {found.not_run:,} did not run" if found.not_run else "")

        def url(day: date) -> str:
            start = datetime(day.year, day.month, day.day, tzinfo=zone)
            until = start + timedelta(days=1)
            return f"{self.runs_url}&{urlencode({'from': start.isoformat(), 'to': until.isoformat()})}"

        return drawn.heat_map(days, self.times.now.astimezone(zone).date(), label, url)


def _line(job: Job) -> str:
    """Return the crontab line of a job's trigger, or the short form of another one."""
    line = job.trigger.get("crontab") if isinstance(job.trigger, dict) else None
    return line if isinstance(line, str) else states.short_form(job)


def _succeeded(found: Counted, usually: float | None) -> Figure:
    if found.rate is None:
        return Figure(name="Succeeded", value="—", note="nothing ran")
    often = f", usually {usually * 100:.1f} %" if usually is not None else ""
    state, runs = "failed" if found.failed else "", "run" if found.ran == 1 else "runs"
    return Figure(name="Succeeded", value=f"{found.succeeded:,}", unit=f"of {found.ran:,} {runs}", state=state,
                  note=f"{found.rate * 100:.1f} %{often}")  # fmt: skip


def _not_run(found: Counted, reason: str) -> Figure:
    if not found.not_run:
        return Figure(name="Did not run", value="none")
    parts = [f"{number:,} {word}" for number, word in ((found.missed, "missed"), (found.skipped, "skipped")) if number]
    return Figure(name="Did not run", value=f"{found.not_run:,}", unit=f"of {found.all:,}", state="missed",
                  note=reason if reason and len(parts) == 1 else ", ".join(parts))  # fmt: skip


def _duration(found: Usual) -> Figure:
    if found.median is None or found.p95 is None or found.longest is None:
        return Figure(name="Duration, median", value="—", note="no run has succeeded")
    value, _, unit = duration(timedelta(seconds=found.median)).partition(" ")
    p95, longest = (duration(timedelta(seconds=seconds)) for seconds in (found.p95, found.longest))
    return Figure(name="Duration, median", value=value, unit=unit, note=f"p95 {p95} · longest {longest}")


def _delay(marks: Sequence[Mark]) -> Figure:
    delays = start_delays(marks)
    p95, median = percentile(delays, 0.95), percentile(delays, 0.5)
    if p95 is None or median is None:
        return Figure(name="Start delay, p95", value="—", note="no fire time has started a run")
    value, _, unit = duration(timedelta(seconds=p95)).partition(" ")
    return Figure(name="Start delay, p95", value=value, unit=unit, note=f"median {duration(timedelta(seconds=median))}")
