"""The states of a run as a diagram, on which the way that it took is lit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.runs import DID_NOT_RUN, RunStatus
from ...models import Run

WIDTH, HEIGHT = 78, 22
"""The size of a box, in units of the diagram."""


class Box(NamedTuple):
    """A state: its words, the place of its box, and the boxes from which a run comes to it."""

    words: str
    x: int
    y: int
    after: tuple[RunStatus, ...] = ()
    """Without any, a run comes to it from its fire time."""


DUE = Box("due", 0, 60)
"""The fire time, before anything happens to it."""
BOXES: dict[RunStatus, Box] = {
    RunStatus.QUEUED: Box("queued", 100, 60),
    RunStatus.RUNNING: Box("running", 200, 60, (RunStatus.QUEUED,)),
    RunStatus.SUCCEEDED: Box("succeeded", 300, 0, (RunStatus.RUNNING,)),
    RunStatus.FAILED: Box("failed", 300, 30, (RunStatus.RUNNING,)),
    RunStatus.TIMED_OUT: Box("timed out", 300, 60, (RunStatus.RUNNING,)),
    RunStatus.LOST: Box("lost", 300, 90, (RunStatus.RUNNING,)),
    RunStatus.CANCELLED: Box("cancelled", 300, 120, (RunStatus.RUNNING, RunStatus.QUEUED)),
    RunStatus.MISSED: Box("missed", 0, 96),
    RunStatus.SKIPPED: Box("skipped", 0, 126),
}
"""The states of runs."""
AGAIN = "M340 143V158H140V83"
"""The way from the ends of a run that did not succeed to its next attempt."""


def diagram(run: Run, attempts: Sequence[Run]) -> SafeString:
    """Return the diagram for `run`, one of `attempts`; "" for a damaged status."""
    way = _way(run)
    if not way:
        return SafeString("")
    earlier = sum(one.attempt < run.attempt for one in attempts)
    lit = set(pairwise(way))
    steps = [(before, status) for status, box in BOXES.items() for before in box.after or (None,)]
    lines = format_html_join("", '<path class="{}" d="{}"/>', (
        ("way lit" if step in lit else "way", _line(_box(step[0]), _box(step[1])))
        for step in sorted(steps, key=lambda step: step in lit)  # the lit ones last, over the others
    ))  # fmt: skip
    boxes = format_html_join(
        "", '<g class="{}"><rect x="{}" y="{}" width="{}" height="{}" rx="5"/><text x="{}" y="{}">{}</text></g>',
        ((_look(status, way), box.x + 1, box.y + 1, WIDTH, HEIGHT, box.x + 1 + WIDTH // 2, box.y + 16, box.words)
         for status, box in ((None, DUE), *BOXES.items())),
    )  # fmt: skip
    return format_html(
        '<svg class="states" viewBox="0 0 380 162" role="img" aria-label="{}">{}<path class="{}" d="{}"/>{}'
        '<text class="{}" x="240" y="152">{}</text></svg>',
        _words(way, earlier), lines, "way lit" if earlier else "way", AGAIN, boxes, "lit" if earlier else "",
        f"attempt {run.attempt}" if earlier else "tried again",
    )  # fmt: skip


def _box(status: RunStatus | None) -> Box:
    return DUE if status is None else BOXES[status]


def _way(run: Run) -> list[RunStatus | None]:
    """Return the states of the run from its fire time on, which is None; [] for a damaged one."""
    try:
        status = RunStatus(run.status)
    except ValueError:
        return []
    if status in DID_NOT_RUN:
        return [None, status]
    way: list[RunStatus | None] = [None, RunStatus.QUEUED]
    if run.started_at is not None:
        way.append(RunStatus.RUNNING)
    return way if status in way else [*way, status]


def _look(status: RunStatus | None, way: Sequence[RunStatus | None]) -> str:
    if status not in way:
        return "box"
    return f"box lit state-{status}" if status == way[-1] else "box lit"


def _line(before: Box, box: Box) -> str:
    x, y = before.x + 1 + WIDTH, before.y + 1 + HEIGHT // 2
    end, to = box.x + 1, box.y + 1 + HEIGHT // 2
    if before.x == box.x:
        return f"M{before.x + 13} {before.y + 1 + HEIGHT}V{box.y + 1}"
    if y == to:
        return f"M{x} {y}H{end}"
    middle = end - 11
    return f"M{x} {y}H{middle}V{to}H{end}"


def _words(way: Sequence[RunStatus | None], earlier: int) -> str:
    names = ", ".join(_box(status).words for status in way)
    if not earlier:
        return f"Its way: {names}"
    return f"Its way: {names}; before it, {earlier} {'attempt' if earlier == 1 else 'attempts'}"
