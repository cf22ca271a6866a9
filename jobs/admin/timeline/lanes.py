"""A lane of the timeline as SVG: bars for runs, or columns for hours if there are too many runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ...core.runs import FAILURES, RunStatus
from ...selectors.timeline import Bar, Hour
from .. import charts

WIDE = 1000
"""Units of the axis."""
THIN = 2
"""Units that the shortest bar takes."""
ROWS = 3
"""Rows in which overlapping runs of one lane are stacked."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The period that all lanes show."""

    since: datetime
    until: datetime
    now: datetime
    grid: tuple[datetime, ...]

    def x(self, at: datetime) -> int:
        """Return the position of an instant, in units of the axis."""
        share = (at - self.since) / (self.until - self.since)
        return round(min(max(share, 0.0), 1.0) * WIDE)

    def share(self, at: datetime) -> float:
        """Return the position of an instant, from 0 to 1."""
        return self.x(at) / WIDE


def lane(
    axis: Axis, bars: Sequence[Bar], coming: Sequence[datetime], typical: timedelta,
    label: Callable[[Bar], str], url: Callable[[Bar], str] | None,
) -> SafeString:  # fmt: skip
    """Return a lane with a bar for each run; with `url` each bar is a link."""
    parts: list[SafeString] = []
    paths: dict[str, list[str]] = defaultdict(list)
    for bar, row, rows in _stacked(bars, axis.now):
        shapes = _shapes(bar, row, rows, axis, typical)
        if url is None:
            for fill, shape in shapes:
                paths[fill].append(shape)
            continue
        drawn = mark_safe("".join(_path(fill, shape) for fill, shape in shapes))  # noqa: S308 (numbers, our classes)
        link = '<a href="{}" tabindex="-1"><title>{}</title>{}</a>'
        parts.append(format_html(link, url(bar), label(bar), drawn))
    for at in coming:
        x = axis.x(at)
        width = max(axis.x(min(at + typical, axis.until)) - x, 4)
        paths["f-future"].append(f"M{x} 6h{width}v9h-{width}z")
    parts += [mark_safe(_path(fill, "".join(shapes))) for fill, shapes in paths.items()]  # noqa: S308 (the same)
    return _frame(axis, parts)


def density(axis: Axis, hours: Iterable[Hour], slot: timedelta) -> SafeString:
    """Return a lane with a column for each `slot`: successes above the line, other runs below it."""
    counts: dict[datetime, Counter[str]] = defaultdict(Counter)
    for hour in hours:
        start = axis.since + (hour.hour - axis.since) // slot * slot
        counts[start][hour.status] += hour.number
    most = max((found[RunStatus.SUCCEEDED] for found in counts.values()), default=0) or 1
    paths: dict[str, list[str]] = defaultdict(list)
    for start, found in counts.items():
        x = axis.x(start)
        width = max(axis.x(start + slot) - x - 2, THIN)
        if good := found[RunStatus.SUCCEEDED]:
            height = max(round(good / most * 14), 3)
            paths["f-good"].append(f"M{x} {17 - height}h{width}v{height}h-{width}z")
        if any(found[status] for status in FAILURES):
            paths["f-bad"].append(f"M{x} 19h{width}v4h-{width}z")
        elif found[RunStatus.MISSED]:
            paths["f-hollow"].append(f"M{x} 19h{width}v4h-{width}z")
        elif found[RunStatus.SKIPPED]:
            paths["f-quiet"].append(f"M{x} 19h{width}v3h-{width}z")
    parts = [mark_safe(_path(fill, "".join(shapes))) for fill, shapes in paths.items()]  # noqa: S308 (numbers)
    return _frame(axis, parts)


def _frame(axis: Axis, parts: Sequence[SafeString]) -> SafeString:
    grid = "".join(f"M{axis.x(at)} 0V26" for at in axis.grid)
    now = f'<path class="line-now" d="M{axis.x(axis.now)} 0V26"/>' if axis.since < axis.now < axis.until else ""
    return format_html(
        '<svg class="chart" height="26" viewBox="0 0 1000 26" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="line" d="{}" opacity=".5"/>{}{}</svg>',
        grid, format_html_join("", "{}", ((part,) for part in parts)), mark_safe(now),  # noqa: S308 (numbers)
    )  # fmt: skip


def _path(fill: str, shape: str) -> str:
    return f'<path class="{fill}" d="{shape}"/>'


def _stacked(bars: Sequence[Bar], now: datetime) -> list[tuple[Bar, int, int]]:
    """Return each bar with its row and the number of rows: overlapping runs are stacked."""
    ends: list[datetime] = []
    placed: list[tuple[Bar, int]] = []
    for bar in bars:
        until = bar.until or now
        row = next((number for number, end in enumerate(ends) if end <= bar.since), len(ends))
        if row >= ROWS:
            row = ROWS - 1
        elif row == len(ends):
            ends.append(until)
        ends[row] = max(ends[row], until)
        placed.append((bar, row))
    return [(bar, row, max(len(ends), 1)) for bar, row in placed]


def _shapes(bar: Bar, row: int, rows: int, axis: Axis, typical: timedelta) -> list[tuple[str, str]]:
    x = axis.x(bar.since)
    if bar.status == RunStatus.MISSED:
        return [("f-hollow", f"M{x} 19h5v4h-5z")]
    if bar.status == RunStatus.SKIPPED:
        return [(charts.QUIET, f"M{x} 19h4v4h-4z")]
    height = (10, 5, 3)[rows - 1]
    y = 5 + row * (height + 1)
    until = bar.until or axis.now
    width = max(axis.x(until) - x, THIN)
    fill = charts.STATUS_FILL.get(bar.status, charts.QUIET)  # type: ignore[call-overload]
    foot = f"M{x} 19h{max(width, 4)}v4h-{max(width, 4)}z" if bar.status in FAILURES else ""
    shapes = [(fill, f"M{x} {y}h{width}v{height}h-{width}z{foot}")]
    if bar.until is None and bar.status == RunStatus.RUNNING and bar.since + typical > axis.now:
        end = axis.x(min(bar.since + typical, axis.until))
        if end > x + width:
            shapes.append(("f-future", f"M{x + width} {y}H{end}v{height}H{x + width}z"))
    return shapes
