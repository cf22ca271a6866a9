"""The waterfall of a fire time: its waits and its attempts, on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, cast

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from ...core.runs import DID_NOT_RUN, Executor, RunStatus
from ...models import Run
from .. import charts
from ..times import duration

WIDE = 1000
"""Units of the axis."""
LEAST = 3
"""Units that the shortest bar takes."""
MOST = 24
"""Attempts that are drawn: the last ones."""


class Step(NamedTuple):
    """A period with its label. `fill` is a class of the style sheet."""

    name: str
    since: datetime
    until: datetime
    fill: str
    current: bool = False
    work: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A step on the page."""

    name: str
    bar: SafeString
    length: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The steps on their axis, and the share of work."""

    lanes: list[Lane]
    axis: SafeString
    summary: str


def waterfall(run: Run, attempts: Sequence[Run], now: datetime, start: str) -> Waterfall | None:
    """Return the waterfall of `run`; None if nothing was queued. `start` is its scheduled time in words."""
    if run.scheduled_time is None:
        return None
    steps = [step for step in _steps(run, attempts[-MOST:], now) if step.until >= step.since]
    if not steps:
        return None
    begin = min(step.since for step in steps)
    whole = max((max(step.until for step in steps) - begin).total_seconds(), 0.001)
    lanes = [_lane(step, begin, whole) for step in steps]
    work = sum((step.until - step.since for step in steps if step.work), timedelta())
    wait = sum((step.until - step.since for step in steps if not step.work), timedelta())
    labels = [(0.0, start), *((n / 4, f"+{duration(timedelta(seconds=whole * n / 4))}") for n in range(1, 5))]
    return Waterfall(
        lanes=lanes, axis=charts.axis(labels), summary=f"{duration(work)} of work, {duration(wait)} of waiting"
    )


def _steps(run: Run, attempts: Sequence[Run], now: datetime) -> Iterator[Step]:
    ended: datetime | None = None
    several = len(attempts) > 1
    for one in attempts:
        if one.queued_at is None or one.status in DID_NOT_RUN:
            continue
        begun = one.started_at or one.finished_at or now
        if ended is None:
            yield Step("Until it was queued", min(run.scheduled_time, one.queued_at), one.queued_at, "f-quiet")
            yield from _waits(one, one.queued_at, begun)
        else:
            yield Step("Waited to be tried again", ended, begun, "f-dashed")
        if one.started_at is not None:
            this = one.pk == run.pk
            name = f"Attempt {one.attempt}" if several else "Ran"
            name += ", this run" if this and several else ""
            fill = charts.STATUS_FILL.get(cast("RunStatus", one.status), charts.QUIET)  # it may be damaged
            yield Step(name, one.started_at, one.finished_at or now, fill, this and several, work=True)
        ended = one.finished_at or now


def _waits(run: Run, queued_at: datetime, begun: datetime) -> Iterator[Step]:
    """Yield the wait of a run until `begun`; for a worker's, before its last message was sent and after that."""
    if run.executor != Executor.CELERY:
        yield Step("Waited for a free slot", queued_at, begun, "f-dashed")
        return
    if (run.dispatches or 1) > 1:  # only the last time is on record
        yield Step(f"Waited for a worker, sent {run.dispatches:,} times", queued_at, begun, "f-dashed")
        return
    sent_at = min(run.dispatched_at or begun, begun)
    yield Step("Waited to be sent to its queue", queued_at, sent_at, "f-dashed")
    if run.dispatched_at is not None:
        yield Step("Waited in the queue for a worker", sent_at, begun, "f-dashed")


def _lane(step: Step, begin: datetime, whole: float) -> Lane:
    x = round((step.since - begin).total_seconds() / whole * WIDE)
    width = max(round((step.until - step.since).total_seconds() / whole * WIDE), LEAST)
    x = min(x, WIDE - width)
    shape = f'<path class="{step.fill}" d="M{x} 5h{width}v16h-{width}z"/>'
    if step.fill == "f-dashed":
        shape = f'<rect class="f-dashed" x="{x}" y="9" width="{width}" height="8"/>'
    bar = format_html(
        '<svg class="chart" height="26" viewBox="0 0 {} 26" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="line" d="M250 0V26M500 0V26M750 0V26" opacity=".5"/>{}</svg>',
        WIDE, mark_safe(shape),  # noqa: S308 (numbers and our own classes)
    )  # fmt: skip
    return Lane(name=step.name, bar=bar, length=duration(step.until - step.since), current=step.current)
