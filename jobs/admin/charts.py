"""Charts as SVG, drawn on the server: they need no script, can be printed, and follow the theme.

Successful runs stand above a line, others below it, so that no chart depends on its colours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from math import sqrt

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ..core.runs import DID_NOT_RUN, FAILURES, RunStatus
from ..selectors.recent import SHOWN, Recent
from ..selectors.statistics import Bucket

GOOD, BAD, LATE, QUIET, BUSY = "f-good", "f-bad", "f-late", "f-quiet", "f-busy"
LEGEND = {
    "succeeded": '<path class="f-good" d="M1 0h8v8H1z"/>',
    "failed or timed out": '<path class="f-bad" d="M1 0h8v6H1zM1 8h8v4H1z"/>',
    "running": '<path class="f-busy" d="M1 0h8v8H1z"/>',
    "lost": '<path class="f-lost" d="M1 0h8v6H1zM1 8h8v4H1z"/>',
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
"""The chart of buckets: the width of a bucket, the height of the line, and the longest bars above and below it."""


def bucket_chart(found: Sequence[Bucket], label: Callable[[Bucket], str], url: Callable[[Bucket], str]) -> SafeString:
    """Return the chart of runs by period. Each bar links to its runs at `url`, with the title `label`."""
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
    # Numbers only: nothing of it comes from a user.
    drawn = mark_safe("".join(parts))  # noqa: S308
    return format_html(
        '<a href="{}" tabindex="-1"><title>{}</title><rect class="f-hit" x="{}" width="100" height="160"/>{}</a>',
        url(bucket), label(bucket), x, drawn,
    )  # fmt: skip


def elapsed_bar(share: float | None, *, late: bool) -> SafeString:
    """Return the bar of a run's elapsed time, as a share of the usual time, which is marked at 60 % of the width.

    `share` is None if no time is usual yet: such a bar has no mark.
    """
    fill, width = ("f-late", 100) if late else (BUSY, min(round((share or 0) * 60), 100))
    mark = "" if share is None else mark_safe('<path class="line-mark" d="M60 0v10"/>')
    return format_html(
        '<svg class="chart" height="10" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="f-none" d="M0 3h100v4H0z"/><path class="{}" d="M0 3h{}v4H0z"/>{}</svg>',
        fill, width, mark,
    )  # fmt: skip


def load_bar(busy: int, slots: int) -> SafeString:
    """Return the share of busy slots as a bar."""
    width = round(min(busy / slots, 1.0) * 100) if slots > 0 else 0
    return format_html(
        '<svg class="chart" height="8" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="f-none" d="M0 2h100v4H0z"/><path class="{}" d="M0 2h{}v4H0z"/></svg>',
        "f-late" if width == 100 else BUSY, width,
    )  # fmt: skip


def share_bar(parts: Sequence[tuple[int, str]]) -> SafeString:
    """Return numbers as shares of one bar, each with its fill."""
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


SLOT, LINE, SMALLEST, GROWTH = 4, 16, 2, 13
"""The bars of a job's runs, in pixels: the width of one, the height of the line, and the bar's height by its length."""
RUN_CODES = {status.value: number for number, status in enumerate(RunStatus)}
"""The numbers of statuses in the data of bars; lists.js has their words in this order."""


def run_bars(runs: Sequence[Recent], now: datetime) -> SafeString:
    """Return the last runs of a job as bars, the newest to the right; `runs` come newest first.

    There is one path for each colour and not an element for each run, because a page has thousands of runs. An
    attribute has the data of the runs, so that a script can find the run under the pointer.
    """
    lengths = [_length(run, now) for run in runs]
    known = sorted(length for length in lengths if length)
    # If all runs of a job take the same time, bars have middle height, so that a longer one stands out.
    longest = max(known[-1], 2 * known[len(known) // 2]) if known else 1.0
    paths: dict[str, list[str]] = defaultdict(list)
    for number in range(SHOWN - len(runs)):
        paths["f-none"].append(f"M{number * SLOT} 14h3v2h-3z")
    for place, (run, length) in enumerate(zip(runs, lengths, strict=True), 1):
        x = (SHOWN - place) * SLOT
        if run.status in DID_NOT_RUN:
            late = run.status == RunStatus.MISSED
            paths["f-hollow" if late else QUIET].append(f"M{x}.5 18.5h2v3h-2z" if late else f"M{x} 18h3v4h-3z")
            continue
        height = SMALLEST + round(GROWTH * sqrt(min(length / longest, 1.0))) if length else SMALLEST
        foot = f"M{x} 18h3v4h-3z" if run.status in FAILURES else ""
        fill = STATUS_FILL.get(run.status, QUIET)  # type: ignore[call-overload]
        paths[fill].append(f"M{x} {LINE - height}h3v{height}h-3z{foot}")
    drawn = "".join(f'<path class="{fill}" d="{"".join(parts)}"/>' for fill, parts in paths.items())
    width = SHOWN * SLOT - 1
    # Numbers only: nothing of it comes from a user.
    return mark_safe(  # noqa: S308
        f'<svg class="bars" width="{width}" height="23" viewBox="0 0 {width} 23" aria-hidden="true"'
        f' data-runs="{_data(runs, lengths)}">{drawn}</svg>'
    )


def _length(run: Recent, now: datetime) -> float:
    if run.started is not None:
        return max((now - run.started).total_seconds(), 0.0)
    return run.seconds or 0.0


def _data(runs: Sequence[Recent], lengths: Sequence[float]) -> str:
    """Return the runs as numbers: the steps of the id and of the time (s), the status, and the duration (ms)."""
    parts, run_id, at = [], 0, 0
    for run, length in zip(runs, lengths, strict=True):
        instant = int(run.at.timestamp())
        parts.append(f"{run.id - run_id},{instant - at},{RUN_CODES.get(run.status, -1)},{round(length * 1000)}")
        run_id, at = run.id, instant
    return " ".join(parts)


def bars_sentence(runs: Sequence[Recent]) -> str:
    """Return the content of the bars in one sentence, for people who do not see them."""
    ran = [run for run in runs if run.status not in DID_NOT_RUN]
    not_run = sum(run.fire_times for run in runs if run.status in DID_NOT_RUN)
    left_out = f"; {not_run:,} fire {'time' if not_run == 1 else 'times'} did not run" if not_run else ""
    if not ran:
        return f"It never ran{left_out}"
    succeeded = sum(run.status == RunStatus.SUCCEEDED for run in ran)
    which = "run" if len(ran) == 1 else f"{len(ran)} runs"
    words = f"All of the last {which} succeeded" if len(ran) > 1 else "The only run succeeded"
    return (words if succeeded == len(ran) else f"{succeeded} of the last {which} succeeded") + left_out
