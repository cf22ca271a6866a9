"""Charts as SVG, drawn on the server: they need no script, print, and follow the theme.

What ran well stands above a line; what did not, below it. So no chart needs its colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ..core.runs import RunStatus
from ..selectors.statistics import Bucket

GOOD, BAD, LATE, QUIET, BUSY = "f-good", "f-bad", "f-late", "f-quiet", "f-busy"
LEGEND = {
    "succeeded": '<path class="f-good" d="M1 0h8v8H1z"/>',
    "failed or timed out": '<path class="f-bad" d="M1 0h8v6H1zM1 8h8v4H1z"/>',
    "running": '<path class="f-busy" d="M1 0h8v8H1z"/>',
    "missed": '<rect class="f-hollow" x="1" y="7" width="8" height="4"/>',
    "skipped": '<path class="f-quiet" d="M1 7h8v4H1z"/>',
    "no run": '<path class="f-none" d="M1 6h8v2H1z"/>',
    "to come": '<rect class="f-future" x="1" y="1" width="8" height="8"/>',
    "now": '<path class="line-now" d="M5 0v12"/>',
}
"""The marks of a legend, by their words."""
STATUS_FILL = {
    RunStatus.QUEUED: BUSY,
    RunStatus.RUNNING: BUSY,
    RunStatus.SUCCEEDED: GOOD,
    RunStatus.FAILED: BAD,
    RunStatus.TIMED_OUT: BAD,
    RunStatus.CANCELLED: QUIET,
    RunStatus.LOST: "f-lost",
    RunStatus.MISSED: LATE,
    RunStatus.SKIPPED: QUIET,
}
"""The fill of a run in a chart, by status."""


def legend(*words: str) -> SafeString:
    """Return the legend of a chart."""
    mark = '<li><svg viewBox="0 0 10 12" aria-hidden="true">{}</svg>{}</li>'
    marks = [(mark_safe(LEGEND[word]), word) for word in words]  # noqa: S308 (the marks are ours)
    return format_html('<ul class="legend">{}</ul>', format_html_join("", mark, marks))


def axis(labels: Iterable[tuple[float, str]]) -> SafeString:
    """Return the axis below a chart: texts at shares of its width, from 0 to 1."""
    text = '<text x="{}%" y="14"{}>{}</text>'
    anchors = {0.0: "", 1.0: mark_safe(' text-anchor="end"')}
    middle = mark_safe(' text-anchor="middle"')
    rows = ((f"{share * 100:.4g}", anchors.get(share, middle), label) for share, label in labels)
    return format_html('<svg class="axis" aria-hidden="true">{}</svg>', format_html_join("", text, rows))


WIDE, BASE, TALL, BELOW = 100, 120, 104, 34
"""The chart of buckets: the width of one, the line's height, and the longest bars above and below it."""


def bucket_chart(found: Sequence[Bucket], label: Callable[[Bucket], str], url: Callable[[Bucket], str]) -> SafeString:
    """Return the chart of runs by stretch of time. Each bar is a link to its runs, `url`, named by `label`."""
    most = max((bucket.succeeded for bucket in found), default=0) or 1
    below = max((bucket.failed + bucket.missed + bucket.skipped for bucket in found), default=0) or 1
    bars = [_bucket(bucket, n * WIDE, most, min(3.4, BELOW / below), label, url) for n, bucket in enumerate(found)]
    return format_html(
        '<svg class="chart" height="160" viewBox="0 0 {} 160" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="line" d="M0 {}H{}"/>{}</svg>',
        WIDE * len(found), BASE, WIDE * len(found), format_html_join("", "{}", ((bar,) for bar in bars)),
    )  # fmt: skip


def _bucket(
    bucket: Bucket, x: int, most: int, scale: float, label: Callable[[Bucket], str], url: Callable[[Bucket], str]
) -> SafeString:
    parts = []
    if bucket.succeeded:
        height = max(round(bucket.succeeded / most * TALL), 3)
        top = BASE - 1 - height
        parts.append(f'<path class="f-soft" d="M{x + 14} {top}h72v{height}h-72z"/>')
        parts.append(f'<path class="f-good" d="M{x + 14} {top}h72v3h-72z"/>')
    y = BASE + 3
    for number, kind in ((bucket.failed, BAD), (bucket.missed, "f-hollow"), (bucket.skipped, QUIET)):
        if number:
            height = max(round(number * scale), 5)
            parts.append(f'<rect class="{kind}" x="{x + 14}" y="{y}" width="72" height="{height}"/>')
            y += height + 2
    # Numbers alone: nothing of it comes from a user.
    drawn = mark_safe("".join(parts))  # noqa: S308
    return format_html(
        '<a href="{}" tabindex="-1"><title>{}</title><rect class="f-hit" x="{}" width="100" height="160"/>{}</a>',
        url(bucket), label(bucket), x, drawn,
    )  # fmt: skip


def elapsed_bar(share: float, *, late: bool) -> SafeString:
    """Return how far a run has come, as a share of what is usual; its mark stands at 60 % of the width."""
    fill, width = ("f-late", 100) if late else (BUSY, min(round(share * 60), 100))
    return format_html(
        '<svg class="chart" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="f-none" d="M0 3h100v4H0z"/><path class="{}" d="M0 3h{}v4H0z"/>'
        '<path class="line-mark" d="M60 0v10"/></svg>',
        fill, width,
    )  # fmt: skip


def share_bar(parts: Sequence[tuple[int, str]]) -> SafeString:
    """Return numbers side by side, each with its fill, as shares of one bar."""
    whole = sum(number for number, _ in parts) or 1
    x, drawn = 0, []
    for number, fill in parts:
        width = max(round(number / whole * 264), 4)
        drawn.append(format_html('<rect class="{}" x="{}" width="{}" height="10"/>', fill, x, width))
        x += width + 3
    return format_html(
        '<svg class="share" viewBox="0 0 {} 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        max(x - 3, 1), format_html_join("", "{}", ((part,) for part in drawn)),
    )  # fmt: skip
