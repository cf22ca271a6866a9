"""The figures of the overview, each compared with the day before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ...core.statistics import percentile
from ...selectors import statistics
from ...selectors.counts import RunCounts
from ...selectors.statistics import Bucket, Cause, NotRun
from ..times import Times, duration

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure: its name, its value with a unit, a state that colours it, a page, and the change in words."""

    name: str
    value: str
    unit: str = ""
    state: str = ""
    url: str = ""
    change: float = 0
    note: str = ""

    @property
    def direction(self) -> str:
        """Whether it went up or down."""
        return "up" if self.change > 0 else "down" if self.change < 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The last 24 hours, and the 24 hours before."""

    hours: list[Bucket]
    now: Bucket
    before: Bucket
    fire_times: int
    not_run: list[NotRun]

    @property
    def missing(self) -> int:
        """The number of fire times that did not run."""
        return sum(one.number for one in self.not_run)


def day(times: Times) -> Day:
    """Read the last two days."""
    hours = statistics.buckets(times.now, statistics.HOUR, 48)
    now, before = statistics.total(hours[24:]), statistics.total(hours[:24])
    found = statistics.not_run(now.since, now.until)
    scheduled = now.ran - statistics.unscheduled(now.since, now.until)
    missing = sum(one.number for one in found)
    return Day(hours=hours[24:], now=now, before=before, fire_times=scheduled + missing, not_run=found)


def figures(found: Day, runs: RunCounts, slots: int, times: Times, urls: dict[str, str]) -> list[Figure]:
    """Return the figures of the overview."""
    return [
        _success(found),
        Figure(name="Runs", value=f"{found.now.ran:,}", change=found.now.ran - found.before.ran,
               note=_difference(found.now.ran - found.before.ran)),
        _failed(found, urls["failed"]),
        _not_run(found),
        _delay(times),
        Figure(name="Running now", value=f"{runs.running:,}", unit=f"of {slots} slots" if slots else "",
               url=urls["running"], note=f"{runs.queued:,} queued" if runs.queued else "none waits"),
    ]  # fmt: skip


def _success(found: Day) -> Figure:
    rate, before = found.now.success_rate, found.before.success_rate
    if rate is None:
        return Figure(name="Success rate", value="—", note="no run has ended")
    value = f"{rate * 100:.1f} %" if rate < 1 else "100 %"
    if before is None:
        return Figure(name="Success rate", value=value, note="nothing to compare with")
    points = round((rate - before) * 100, 1)
    return Figure(
        name="Success rate", value=value, change=points, note=f"{abs(points)} points" if points else "as before"
    )


def _failed(found: Day, url: str) -> Figure:
    number = found.now.failed
    change = number - found.before.failed
    state = "failed" if number else ""
    return Figure(
        name="Failed", value=f"{number:,}" if number else "none", state=state, url=url if number else "",
        change=change, note=_difference(change),
    )  # fmt: skip


def _not_run(found: Day) -> Figure:
    change = found.missing - found.before.not_run
    overlapped = sum(one.number for one in found.not_run if one.why is Cause.OVERLAP)
    note = _difference(change) + (f" · {overlapped:,} overlapped" if overlapped else "")
    return Figure(
        name="Did not run", value=f"{found.missing:,}" if found.missing else "none",
        unit=f"of {found.fire_times:,}" if found.missing else "", state="missed" if found.missing else "",
        url="#did-not-run" if found.missing else "", change=change, note=note,
    )  # fmt: skip


def _delay(times: Times) -> Figure:
    now = percentile(statistics.start_delays(times.now), 0.95)
    before = percentile(statistics.start_delays(times.now - DAY), 0.95)
    if now is None:
        return Figure(name="Start delay, p95", value="—", note="no fire time has started a run")
    value, _, unit = duration(timedelta(seconds=now)).partition(" ")
    if before is None:
        return Figure(name="Start delay, p95", value=value, unit=unit, note="nothing to compare with")
    change = now - before
    note = duration(timedelta(seconds=abs(change))) if abs(change) >= 0.001 else "as the day before"
    return Figure(
        name="Start delay, p95", value=value, unit=unit, change=change if abs(change) >= 0.001 else 0, note=note
    )


def _difference(number: int) -> str:
    return f"{abs(number):,}" if number else "as the day before"
