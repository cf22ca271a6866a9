"""Describe the effect of each policy of a job in one sentence, with the job's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from statistics import median
from typing import Any, NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.retries import Retries
from ...core.runs import Overlap
from ...core.times import MICROSECOND
from ...core.triggers import Trigger
from ..times import duration

SAMPLE = 20
"""Fire times from which the usual distance is computed."""
OUTAGE = timedelta(hours=1)
"""The example of an outage in the sentence on late fire times."""
DRAWN = 6
"""Attempts that are drawn."""


class Policy(NamedTuple):
    """A sentence on the policy of one input; with `warn` it needs attention."""

    name: str
    warn: bool
    words: str


def policy_words(policies: Mapping[str, Any], trigger: Trigger, took: float | None, now: datetime) -> list[Policy]:
    """Return sentences on the policies; `took` is the usual duration of a run in seconds."""
    times = trigger.fire_times(now, SAMPLE)
    apart = median([(later - earlier).total_seconds() for earlier, later in pairwise(times)] or [0.0])
    return [*_overlap(policies, took, apart), *_late(policies, trigger, now, apart), *_timeout(policies, took)]


def _overlap(policies: Mapping[str, Any], took: float | None, apart: float) -> Iterator[Policy]:
    most = policies.get("max_instances")
    if not isinstance(most, int) or most < 1:
        return
    if took is None or not apart:
        return
    every, runs = _short(apart), f"runs take {_short(took)}"
    if took <= apart * most:
        yield Policy("overlap", False, f"Every {every}, {runs}: they do not overlap.")
        return
    step = ceil(took / (apart * most))
    what = {
        Overlap.SKIP: f"{step - 1} of {step} fire times {'is' if step == 2 else 'are'} skipped",
        Overlap.QUEUE: f"runs queue up, and once {policies.get('queue_limit')} wait, further ones are skipped",
        Overlap.REPLACE: "each run is cancelled by the next one before it ends",
    }
    words = what.get(policies.get("overlap"))  # type: ignore[arg-type]
    if words:
        yield Policy("overlap", True, f"Every {every}, {runs}: {words}.")


def _late(policies: Mapping[str, Any], trigger: Trigger, now: datetime, apart: float) -> Iterator[Policy]:
    grace = policies.get("misfire_grace_time")
    first = trigger.next_after(now)
    if first is None or not (grace is None or isinstance(grace, int)):
        return
    end = first + OUTAGE
    missed = trigger.count(first - MICROSECOND, end)
    if missed <= 1 and apart > OUTAGE.total_seconds():
        limit = "however late it is" if grace is None else f"up to {_short(grace)} late"
        yield Policy("misfire_grace_time", False, f"A fire time that was not seen in time still runs, {limit}.")
        return
    late = trigger.count(end - timedelta(seconds=grace) - MICROSECOND, end) if grace is not None else missed
    if policies.get("coalesce"):
        ran = min(late, 1)
        what = "one run starts for the last of them" if ran else "none of them runs"
    else:
        what = f"{late} of them run" if late else "none of them runs"
    yield Policy(
        "misfire_grace_time", False, f"After an outage of an hour {missed} fire times are due at once: {what}."
    )


def _timeout(policies: Mapping[str, Any], took: float | None) -> Iterator[Policy]:
    timeout = policies.get("timeout")
    if isinstance(timeout, int) and took is not None and timeout > 0:
        warn = took > timeout
        words = f"A run usually takes {_short(took)}: "
        yield Policy("timeout", warn, words + ("half of them are stopped." if warn else "it is stopped if it hangs."))


def retries_drawn(definition: Any, took: float | None) -> SafeString | str:
    """Return the attempts of a run on a line, with the waits between them; "" if there are no retries."""
    try:
        retries = Retries.of(definition if definition and "max" in definition else None)
        waits = [] if retries is None else [_wait(retries, number) for number in range(min(retries.max, DRAWN - 1))]
    except (TypeError, ValueError, AttributeError):  # the input is not valid yet
        return ""
    if not waits:
        return ""
    work = max(took or 0.0, sum(waits) / len(waits) / 4, 0.001)
    whole = work * (len(waits) + 1) + sum(waits)
    parts, x = [], 0.0
    for number in range(len(waits) + 1):
        parts.append(_attempt(x / whole, work / whole, number + 1))
        x += work
        if number < len(waits):
            middle = f"{(x + waits[number] / 2) / whole * 100:.4g}"
            text = '<text x="{}%" y="32" text-anchor="middle">{}</text>'
            parts.append(format_html(text, middle, _short(waits[number])))
            x += waits[number]
    said = ", ".join(f"attempt {number} after {_short(wait)}" for number, wait in enumerate(waits, 2))
    return format_html(
        '<svg class="retries" width="100%" height="40" role="img" aria-label="Attempt 1 at once, {}">'
        '<path class="line" d="M0 9H2000"/>{}</svg>',
        said, format_html_join("", "{}", ((part,) for part in parts)),
    )  # fmt: skip


def _wait(retries: Retries, number: int) -> float:
    return min(float(retries.delay) * float(retries.backoff) ** number, float(retries.max_delay))


def _attempt(x: float, width: float, number: int) -> SafeString:
    return format_html(
        '<rect class="f-busy" x="{0}%" y="3" width="{1}%" height="12" rx="2"/><text x="{0}%" y="32">{2}</text>',
        f"{x * 100:.4g}", f"{width * 100:.4g}", f"attempt {number}",
    )  # fmt: skip


def _short(seconds: float) -> str:
    return duration(timedelta(seconds=seconds)).replace(".0 s", " s")
