"""The timeline: lanes of jobs or of hosts between two instants, with fire times to come."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.runs import DID_NOT_RUN, FAILURES, RunStatus
from ...core.times import parse_instant
from ...models import Job, Run
from ...selectors import timeline
from ...selectors.timeline import Bar, Hour
from .. import charts, display
from ..base import model_url
from ..pages import page
from ..times import Times, duration
from .filters import STATUSES, SUGGESTED_HERE, TAG, filters_of
from .lanes import Axis, density, lane

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RANGES: dict[str, tuple[str, timedelta, timedelta]] = {
    "1h": ("1 h", HOUR, timedelta(minutes=10)), "6h": ("6 h", 6 * HOUR, HOUR), "24h": ("24 h", DAY, 4 * HOUR),
    "7d": ("7 d", 7 * DAY, DAY),
}  # fmt: skip
"""The ranges: a label, the length, and the distance between the lines of the grid."""
SLOTS = {"7d": 6 * HOUR}
"""The length of a column if there are too many runs; an hour for the other ranges."""
AHEAD = 6
"""A range is so many times as long as its part that lies ahead of now."""
LANES = 40
"""Lanes of a page."""
LINKED = 300
"""Bars up to which each bar is a link."""
ROWS = 100
"""Rows of the table."""
LEGEND = ("succeeded", "failed or timed out", "running", "missed", "skipped", "to come", "now")
"""The marks of the legend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A lane on the page."""

    name: str
    url: str
    drawn: SafeString
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneCounts:
    """The numbers of runs of a lane that is drawn by the hour."""

    name: str
    url: str
    runs: str
    succeeded: str
    failed: str
    not_run: str


def timeline_page(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the timeline."""
    view = _Timeline(admin, request)
    return page(admin.admin_site, request, "cronzimus/timeline/timeline.html", title="Timeline", **view.context())


class _Timeline:
    """The parts of the page, which share their data."""

    def __init__(self, admin: Any, request: HttpRequest) -> None:
        self.site, self.request, self.times = admin.admin_site, request, Times.of(request)
        self.range = request.GET.get("range") if request.GET.get("range") in RANGES else "6h"
        self.by = "host" if request.GET.get("by") == "host" else "job"
        self.words = request.GET.get("q", "").replace("\0", "").strip()[:100]
        self.status = request.GET.get("status", "")
        self.counted: list[LaneCounts] = []
        self.filters = filters_of(self.words, self.status, self.times.now)
        _, self.length, step = RANGES[str(self.range)]
        until = self._until()
        self.axis = Axis(until - self.length, until, self.times.now, self._grid(until - self.length, until, step))
        number = request.GET.get("page", "1")
        self.page = int(number[:4]) if number.isascii() and number.isdigit() and int(number[:4]) else 1

    def _until(self) -> datetime:
        """Return the end of the period: the one that the address names, or a little ahead of now."""
        asked = self.request.GET.get("until", "")
        try:
            until = parse_instant(asked, self.times.zone()) if asked else self.times.now + self.length / AHEAD
            return min(max(until, self.times.now - 400 * DAY), self.times.now + 400 * DAY)
        except (ValueError, OverflowError):
            return self.times.now + self.length / AHEAD

    def _grid(self, since: datetime, until: datetime, step: timedelta) -> tuple[datetime, ...]:
        """Return the lines of the grid: whole steps of the shown zone's clock within the period."""
        local = since.astimezone(self.times.zone())
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + ((local - midnight) // step + 1) * step
        found = []
        while at < until:
            found.append(at.astimezone(UTC))
            at += step
        return tuple(found)

    def context(self) -> dict[str, Any]:
        lanes, rows, more, note = self.shown()
        since, until = self.axis.since, self.axis.until
        return {
            "lanes": lanes,
            "summary": f"{note} between {self.times.short(since, seconds=False)} and "
                       f"{self.times.short(until, seconds=False)} {self.times.zone().key}",
            "day": self._day(),
            "axis": charts.axis(
                (self.axis.share(at), self._tick(at)) for at in self.axis.grid if 0.03 < self.axis.share(at) < 0.97
            ),
            "legend": charts.legend(*LEGEND),
            "ranges": [(label, self.link(range=name, until=None), name == self.range)
                       for name, (label, _, _) in RANGES.items()],
            "bys": [(label, self.link(by=name, page=None), name == self.by)
                    for name, label in (("job", "Job"), ("host", "Host"))],
            "earlier": self.link(until=_iso(until - self.length / 2)),
            "later": self.link(until=_iso(until + self.length / 2)),
            "now_url": self.link(until=None),
            "previous_lanes": self.link(page=str(self.page - 1)) if self.page > 1 else "",
            "next_lanes": self.link(page=str(self.page + 1)) if more else "",
            "words": self.words,
            "qualifiers": SUGGESTED_HERE,
            "problems": self.filters.problems,
            "statuses": [(label, self.link(status=name or None, page=None), name == self.filters.search.status)
                         for name, label in STATUSES],
            "narrowed": not self.filters.is_empty,
            "clear": self.link(q=None, status=None),
            "counted": self.counted,
            "rows": [self._row(bar) for bar in rows[::-1][:ROWS]],
            "is_cut": len(rows) > ROWS,
            "runs_url": self._runs_url() if len(rows) > ROWS and not self.filters.tags else "",
            "hidden": [(name, self.request.GET[name]) for name in ("range", "by", "status", "until")
                       if name in self.request.GET],
        }  # fmt: skip

    def link(self, **changes: str | None) -> str:
        """Return the address of this page with some parameters changed; None leaves one out."""
        given = {"range": self.range, "by": self.by, "q": self.words, "status": self.status,
                 "until": self.request.GET.get("until", "")}  # fmt: skip
        kept = {name: value for name, value in {**given, **changes}.items() if value}
        return f"?{urlencode(kept)}"

    def _day(self) -> str:
        zone = self.times.zone()
        first, last = self.axis.since.astimezone(zone), self.axis.until.astimezone(zone)
        words = f"{first:%A} {first.day} {first:%B}"
        return words if first.date() == last.date() else f"{words} to {last:%A} {last.day} {last:%B}"

    def _tick(self, at: datetime) -> str:
        local = at.astimezone(self.times.zone())
        return f"{local:%a} {local.day} {local:%b}" if self.range == "7d" else f"{local:%H:%M}"

    def _runs_url(self) -> str:
        """Return the address of the list of the same runs."""
        words = TAG.sub(" ", self.words).strip()
        period = f"since:{_iso(self.axis.since)} until:{_iso(self.axis.until)}"
        query = urlencode({"q": f"{words} {period}".strip(), **({"status": self.status} if self.status else {})})
        return f"{model_url(self.site, Run, 'changelist')}?{query}"

    def shown(self) -> tuple[list[Lane], list[Bar], bool, str]:
        """Return the lanes, their runs, whether there are more lanes, and a note."""
        if self.filters.problems:
            return [], [], False, "Nothing is shown"
        if self.by == "host":
            return self.by_host()
        return self.by_job_with_runs() if self.filters.names_runs else self.by_job()

    def by_job(self) -> tuple[list[Lane], list[Bar], bool, str]:
        """Return lanes of the jobs that may have run or will run."""
        found = timeline.jobs_between(self.filters.jobs(), self.axis.since, self.axis.until)
        first = (self.page - 1) * LANES
        jobs = list(found.only("id", "trigger", "anchor", "next_run_time")[first : first + LANES + 1])
        more, jobs = len(jobs) > LANES, jobs[:LANES]
        ids = [job.pk for job in jobs]
        bars = timeline.bars_of(ids, self.axis.since, self.axis.until) if ids else []
        if bars is None:
            hours = timeline.hours_of(ids, self.axis.since, self.axis.until)
            lanes = self._dense(jobs, hours)
            self.counted = [self._counts(lane, hours) for lane in lanes]
            return lanes, [], more, _ran(lanes, more)
        lanes = self._drawn(jobs, bars)
        return lanes, bars, more, _ran(lanes, more)

    def _newest(self) -> tuple[list[Bar], str]:
        """Return the newest runs that the filters select, and a note."""
        since, until = self.axis.since, self.axis.until
        runs = None if self.filters.is_empty else self.filters.runs(since, self.times.now)
        bars, cut = timeline.newest_bars(since, until, runs)
        return bars, f"The newest {len(bars):,} runs" if cut else f"{len(bars):,} run{'' if len(bars) == 1 else 's'}"

    def by_job_with_runs(self) -> tuple[list[Lane], list[Bar], bool, str]:
        """Return lanes of the jobs that have runs that the filters select, with these runs alone."""
        bars, note = self._newest()
        of_job: dict[str, list[Bar]] = defaultdict(list)
        for bar in bars:
            of_job[bar.job_id].append(bar)
        first = (self.page - 1) * LANES
        names = sorted(of_job)[first : first + LANES]
        url = self.run_url if sum(len(of_job[name]) for name in names) <= LINKED else None
        lanes = [self._lane(name, of_job[name], url, self.job_url(name)) for name in names]
        words = f"{note} of {len(of_job):,} job{'' if len(of_job) == 1 else 's'}"
        return lanes, bars, len(of_job) > first + LANES, words

    def _lane(self, name: str, bars: list[Bar], url: Callable[[Bar], str] | None, job_url: str = "") -> Lane:
        drawn = lane(self.axis, bars, (), timedelta(), self.label, url)
        return Lane(name=name, url=job_url, drawn=drawn, note=_note(bars))

    def _drawn(self, jobs: Sequence[Job], bars: Sequence[Bar]) -> list[Lane]:
        of_job: dict[str, list[Bar]] = defaultdict(list)
        for bar in bars:
            of_job[bar.job_id].append(bar)
        url = self.run_url if len(bars) <= LINKED else None
        lanes = []
        for job in jobs:
            own, coming = of_job[job.pk], timeline.to_come(job, self.axis.until)
            coming = [at for at in coming if at >= self.axis.since]
            if own or coming:
                drawn = lane(self.axis, own, coming, _typical(own), self.label, url)
                lanes.append(Lane(name=job.pk, url=self.job_url(job.pk), drawn=drawn, note=_note(own)))
        return lanes

    def _dense(self, jobs: Sequence[Job], hours: Iterable[Hour]) -> list[Lane]:
        of_job: dict[str, list[Hour]] = defaultdict(list)
        for hour in hours:
            of_job[hour.job_id].append(hour)
        slot = SLOTS.get(str(self.range), HOUR)
        return [
            Lane(name=job.pk, url=self.job_url(job.pk), drawn=density(self.axis, of_job[job.pk], slot),
                 note=_total(of_job[job.pk]))
            for job in jobs
            if of_job[job.pk]
        ]  # fmt: skip

    def by_host(self) -> tuple[list[Lane], list[Bar], bool, str]:
        """Return lanes of the hosts, with the newest runs."""
        bars, note = self._newest()
        hosts: dict[str, list[Bar]] = defaultdict(list)
        for bar in bars:
            hosts[bar.host or "no host"].append(bar)
        url = self.run_url if len(bars) <= LINKED else None
        lanes = [self._lane(host, own, url) for host, own in sorted(hosts.items())]
        return lanes, bars, False, f"{note} on {len(lanes)} host{'' if len(lanes) == 1 else 's'}"

    def _counts(self, lane: Lane, hours: Iterable[Hour]) -> LaneCounts:
        counts: Counter[str] = Counter()
        for hour in hours:
            if hour.job_id == lane.name:
                counts[hour.status] += hour.number
        return LaneCounts(
            name=lane.name, url=lane.url, runs=f"{counts.total():,}", succeeded=f"{counts[RunStatus.SUCCEEDED]:,}",
            failed=f"{sum(counts[status] for status in FAILURES):,}",
            not_run=f"{sum(counts[status] for status in DID_NOT_RUN):,}",
        )  # fmt: skip

    def job_url(self, job_id: str) -> str:
        return model_url(self.site, Job, "change", job_id)

    def run_url(self, bar: Bar) -> str:
        return model_url(self.site, Run, "change", bar.id)

    def label(self, bar: Bar) -> str:
        took = f", {duration((bar.until or self.times.now) - bar.since)}" if bar.status not in _NO_LENGTH else ""
        return f"{bar.job_id}: {bar.status.replace('_', ' ')}, {self.times.short(bar.at)}{took}"

    def _row(self, bar: Bar) -> tuple[Any, ...]:
        took = duration((bar.until or self.times.now) - bar.since) if bar.status not in _NO_LENGTH else "—"
        return (
            bar,
            self.run_url(bar),
            self.job_url(bar.job_id),
            display.run_badge(bar.status),
            self.times.at(bar.at),
            took,
        )


_NO_LENGTH = (*DID_NOT_RUN, RunStatus.QUEUED)


def _typical(bars: Sequence[Bar]) -> timedelta:
    took = [(bar.until - bar.since).total_seconds() for bar in bars if bar.until and bar.status == RunStatus.SUCCEEDED]
    return timedelta(seconds=median(took) if took else 0)


def _note(bars: Sequence[Bar]) -> str:
    """Return the note on a lane, the worst first."""
    kinds: tuple[tuple[str, Callable[[Bar], bool]], ...] = (
        ("failed", lambda bar: bar.status in FAILURES), ("missed", lambda bar: bar.status == RunStatus.MISSED),
        ("skipped", lambda bar: bar.status == RunStatus.SKIPPED),
    )  # fmt: skip
    for word, is_kind in kinds:
        if number := sum(map(is_kind, bars)):
            return f"{number} {word}"
    return "running" if any(bar.status == RunStatus.RUNNING for bar in bars) else ""


def _total(hours: Iterable[Hour]) -> str:
    runs = sum(hour.number for hour in hours)
    failed = sum(hour.number for hour in hours if hour.status in FAILURES)
    return f"{failed:,} failed" if failed else f"{runs:,} run{'' if runs == 1 else 's'}"


def _ran(lanes: Sequence[Lane], more: bool) -> str:
    return f"{len(lanes)}{' or more' if more else ''} job{'' if len(lanes) == 1 else 's'} ran or will run"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
