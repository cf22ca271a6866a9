"""Warnings about valid triggers: effects that the author may not expect, and the trigger that was probably meant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast

from ..times import MICROSECOND
from ..warnings import JobWarning, WarningCode
from .base import Trigger
from .clock_warnings import clock_warnings
from .expression_warnings import calendar_warnings, cron_warnings
from .pattern import Pattern
from .types import CalendarIntervalTrigger, CronTrigger, JitteredTrigger
from .words import amount_words

OFTEN = 60
"""Fire times within an hour from which on a trigger fires too often."""
SAMPLE = 50
"""Fire times whose shortest distance is taken."""
SHORT_SECONDS = 1.0
"""The longest run that cannot overlap: triggers name whole seconds."""
_HOUR = timedelta(hours=1)


def warnings_of(
    trigger: Trigger, *, now: datetime, usual_duration: float | None = None, max_instances: int = 1
) -> list[JobWarning]:
    """Return the warnings about a trigger.

    Args:
        trigger: the trigger.
        now: aware; fire times after it are examined.
        usual_duration: seconds that a run of the trigger's job usually takes; None if unknown.
        max_instances: runs of its job that may be active at a time.
    """
    base = trigger.base if isinstance(trigger, JitteredTrigger) else trigger
    found = list(_too_often(base, now))
    if isinstance(base, CronTrigger):
        found += cron_warnings(base)
    elif isinstance(base, CalendarIntervalTrigger):
        found += calendar_warnings(base)
    found += clock_warnings(base, now)
    if usual_duration is not None and usual_duration > SHORT_SECONDS:
        found += _overlap(trigger, now, usual_duration, max_instances)
    return found


def _too_often(trigger: Trigger, now: datetime) -> Iterator[JobWarning]:
    first = trigger.next_after(now)
    if first is None:
        return
    try:
        count = trigger.count(first - MICROSECOND, first + _HOUR - MICROSECOND)
    except OverflowError:  # the last hour of the year 9999
        return
    if count >= OFTEN:
        hint = "; for once an hour, give the minute, such as 0" if _is_every_minute_of_some_hours(trigger) else ""
        yield JobWarning(WarningCode.TOO_OFTEN, f"Fires {count:,} times an hour{hint}.")


def _is_every_minute_of_some_hours(trigger: Trigger) -> bool:
    if not isinstance(trigger, CronTrigger):
        return False
    pattern = cast("Pattern", trigger.schedule.pattern)
    return len(pattern.minutes) == 60 and len(pattern.hours) < 24


def _overlap(trigger: Trigger, now: datetime, duration: float, max_instances: int) -> Iterator[JobWarning]:
    distances = [later - earlier for earlier, later in pairwise(trigger.fire_times(now, SAMPLE))]
    shortest = min(distances, default=None)
    if shortest is None or duration <= shortest.total_seconds() * max_instances:
        return
    took, apart = (_rounded(time) for time in (timedelta(seconds=duration), shortest))
    several = f", and {max_instances} may be active at a time" if max_instances > 1 else ""
    message = f"A run usually takes {took}, and fire times are as near as {apart}{several}: they overlap."
    yield JobWarning(WarningCode.OVERLAP, message)


def _rounded(time: timedelta) -> str:
    whole = timedelta(seconds=round(time.total_seconds()))
    return amount_words(whole) if whole else f"{time.total_seconds():.2g} seconds"
