"""The charts of a job's page: a strip of fire times, the durations of its last runs, and its last ninety days."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from math import sqrt

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ...core.runs import DID_NOT_RUN, FAILURES, RunStatus
from ...selectors.job_history import Counted, Mark
from .. import charts

Url = Callable[[Mark], str]
Label = Callable[[Mark], str]

TICK, TICKS = 17, 48
"""The strip: the width of a mark, and the least number of marks for which there is room."""
BASE, TALL, SHORT = 27, 24, 6
"""The strip: the height of the line, and the longest and the shortest bar above it."""
BAR, BARS, FLOOR, HIGH = 10, 100, 146, 132
"""The chart of durations: the width of a bar, the number of bars, the height of the line, and the longest bar."""
DAYS, CELL, MONTH_WIDTH = 91, 16, 24
"""The days of the heat map, the pixels from one day to the next, and the width of a month's name."""


def tick_strip(marks: Sequence[Mark], picked: datetime | None, label: Label, url: Url) -> SafeString:
    """Return the strip of `marks`, which come newest first; the newest is on the right."""
    room = max(len(marks), TICKS)
    longest = max((mark.seconds or 0 for mark in marks), default=0) or 1
    drawn = [
        format_html(
            '<a href="{}" tabindex="-1"><title>{}</title><rect class="{}" x="{}" width="{}" height="48"/>{}</a>',
            url(mark), label(mark), "f-picked" if mark.at == picked else "f-hit", x, TICK, _tick(mark, x, longest),
        )
        for mark, x in zip(marks, range((room - 1) * TICK, -1, -TICK), strict=False)
    ]  # fmt: skip
    return format_html(
        '<svg class="chart" height="48" viewBox="0 0 {} 48" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="line" d="M0 28H{}"/>{}</svg>',
        room * TICK, room * TICK, format_html_join("", "{}", ((tick,) for tick in drawn)),
    )  # fmt: skip


def _tick(mark: Mark, x: int, longest: float) -> SafeString:
    x += 4
    if mark.status == RunStatus.MISSED:
        shape = f'<rect class="f-hollow" x="{x + 1}" y="31" width="7" height="7"/>'
    elif mark.status == RunStatus.SKIPPED:
        shape = f'<path class="f-quiet" d="M{x} 30h9v9h-9z"/>'
    else:
        height = max(round(sqrt((mark.seconds or 0) / longest) * TALL), SHORT)
        fill = charts.STATUS_FILL.get(mark.status, charts.QUIET)  # type: ignore[call-overload]
        foot = f"M{x} 30h9v9h-9z" if mark.status in FAILURES else ""
        shape = f'<path class="{fill}" d="M{x} {BASE - height}h9v{height}h-9z{foot}"/>'
    return mark_safe(shape)  # noqa: S308 (numbers and our own classes)


def durations(marks: Sequence[Mark], room: int, p95: float | None, label: Label, url: Url) -> SafeString:
    """Return the chart of durations with room for so many runs, and a line at `p95` seconds.

    `marks` come newest first.
    """
    longest = max((mark.seconds or 0 for mark in marks), default=0) or 1

    def height(seconds: float) -> int:
        return max(round(sqrt(seconds / longest) * HIGH), 2)

    bars = []
    for mark, x in zip(marks, range((room - 1) * BAR + 1, -1, -BAR), strict=False):
        tall = height(mark.seconds or 0)
        top = FLOOR - tall
        if mark.status == RunStatus.SUCCEEDED:
            shape = f'<path class="f-soft" d="M{x} {top}h8v{tall}h-8z"/><path class="f-good" d="M{x} {top}h8v3h-8z"/>'
        else:
            fill = charts.STATUS_FILL.get(mark.status, charts.QUIET)  # type: ignore[call-overload]
            foot = f"M{x} {FLOOR + 3}h8v7h-8z" if mark.status in FAILURES else ""
            shape = f'<path class="{fill}" d="M{x} {top}h8v{tall}h-8z{foot}"/>'
        hit = f'<rect class="f-hit" x="{x - 1}" width="{BAR}" height="158"/>'
        drawn = mark_safe(hit + shape)  # noqa: S308 (numbers and our own classes)
        bars.append(format_html('<a href="{}" tabindex="-1"><title>{}</title>{}</a>', url(mark), label(mark), drawn))
    line = f'<path class="line-mark" d="M0 {FLOOR - height(p95)}H{room * BAR}"/>' if p95 is not None else ""
    return format_html(
        '<svg class="chart" height="158" viewBox="0 0 {} 158" preserveAspectRatio="none" aria-hidden="true">{}'
        '<path class="line" d="M0 {}H{}"/>{}</svg>',
        room * BAR, format_html_join("", "{}", ((bar,) for bar in bars)), FLOOR, room * BAR,
        mark_safe(line),  # noqa: S308 (numbers)
    )  # fmt: skip


def heat_map(
    days: Mapping[date, Counted], today: date, label: Callable[[date, Counted | None], str], url: Callable[[date], str]
) -> SafeString:
    """Return the last ninety days, a column for each week, with the failed share in red."""
    first = today - timedelta(days=DAYS - 1)
    first -= timedelta(days=first.weekday())
    cells: list[SafeString] = []
    months: list[tuple[int, str]] = []
    shown = ""
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        week, weekday = divmod(number, 7)
        if weekday == 0 and (month := f"{day:%b}") != shown:
            shown = month
            x = 28 + week * CELL
            if months and x - months[-1][0] < MONTH_WIDTH:
                months.pop()
            months.append((x, month))
        drawn = _cell(days.get(day), 28.5 + week * CELL, 14.5 + weekday * CELL)
        shape = '<a href="{}" tabindex="-1"><title>{}</title>{}</a>'
        cells.append(format_html(shape, url(day), label(day, days.get(day)), drawn))
    names = format_html_join("", '<text x="0" y="{}">{}</text>', ((25, "Mon"), (57, "Wed"), (89, "Fri"), (121, "Sun")))
    weeks = (today - first).days // 7 + 1
    return format_html(
        '<svg class="heat" viewBox="0 0 {} 128" aria-hidden="true">{}{}{}</svg>',
        28 + weeks * CELL, names, format_html_join("", '<text x="{}" y="8">{}</text>', months),
        format_html_join("", "{}", ((cell,) for cell in cells)),
    )  # fmt: skip


def _cell(found: Counted | None, x: float, y: float) -> SafeString:
    if found is None or not found.all:
        return mark_safe(f'<rect class="f-none" x="{x + 4.5}" y="{y + 4.5}" width="3" height="3"/>')  # noqa: S308
    if not found.ran:
        return mark_safe(f'<path class="f-dashed" d="M{x} {y}h12v12h-12z"/>')  # noqa: S308 (numbers)
    foot = max(round(12 * found.failed / found.ran), 3) if found.failed else 0
    rest = 12 - foot - (2 if foot else 0)
    good = f'<path class="f-soft-line" d="M{x} {y}h12v{rest}h-12z"/>' if rest > 0 else ""
    bad = f'<path class="f-bad" d="M{x - 0.5} {y + 12.5 - foot}h13v{foot}h-13z"/>' if foot else ""
    return mark_safe(good + bad)  # noqa: S308 (numbers)


def ran(mark: Mark) -> bool:
    """Tell whether a mark is a run, and not a fire time that did not run."""
    return mark.status not in DID_NOT_RUN
