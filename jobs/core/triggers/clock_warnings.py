"""Warnings of changes of the clock: fire times that it skips, shows twice, or moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo

from ..warnings import JobWarning, WarningCode
from .base import Trigger
from .cron import OffsetPeriod, from_seconds, offset_periods, to_seconds
from .pattern import LAST_YEAR, Pattern, year_of
from .types import CronTrigger, DateTrigger, IntervalTrigger, LocalTimeTrigger
from .words import amount_words

AHEAD_SECONDS = 400 * 86_400
"""How far ahead changes of the clock are looked for: more than a year, so that all yearly changes are among them."""

_DAY = timedelta(days=1)


def clock_warnings(trigger: Trigger, now: datetime) -> list[JobWarning]:
    """Return a warning for the next fire time that the clock skips, and one for the next that it shows twice.

    For an interval of whole days: for the next change that moves its local time.
    """
    found: dict[WarningCode, JobWarning] = {}
    for change in _changes(trigger.timezone, to_seconds(now)):
        warning = _warning(trigger, change)
        if warning is not None:
            found.setdefault(warning.code, warning)
    return [*found.values()]


def _changes(zone: ZoneInfo, now: int) -> Iterator[OffsetPeriod]:
    years = range(year_of(now), min(year_of(now + AHEAD_SECONDS), LAST_YEAR) + 1)
    periods = {period.start: period for year in years for period in offset_periods(zone, year)}
    for start in sorted(periods):
        period = periods[start]
        if now < start <= now + AHEAD_SECONDS and period.passed != start + period.offset:
            yield period


def _warning(trigger: Trigger, change: OffsetPeriod) -> JobWarning | None:
    if isinstance(trigger, LocalTimeTrigger):
        return _of_local_times(trigger, change)
    if isinstance(trigger, IntervalTrigger):
        return _of_interval(trigger, change)
    return _of_date(cast("DateTrigger", trigger), change)


def _of_local_times(trigger: LocalTimeTrigger, change: OffsetPeriod) -> JobWarning | None:
    schedule, zone = trigger.schedule, trigger.timezone
    low, high = sorted((change.passed, change.start + change.offset))
    count = schedule.pattern.count(low, high)
    if not count or not trigger.is_open_at(change.start) or not (schedule.fixed or _has_own_hours(trigger)):
        return None
    first, where = cast("int", schedule.pattern.first(low)), f"on {_day(low)} ({zone.key})"
    times = _clock(first) if count == 1 else f"{count} fire times from {_clock(first)}"
    if change.passed == low:  # a gap
        made_up = f"it fires at {_clock(high)} instead" if count == 1 else f"it fires once for them, at {_clock(high)}"
        does = made_up if schedule.fixed else "it does not fire then"
        return JobWarning(WarningCode.SKIPPED_BY_CLOCK, f"The clock skips {times} {where}: {does}.")
    does = "it fires the first time only" if schedule.fixed else "it fires both times"
    return JobWarning(WarningCode.REPEATED_BY_CLOCK, f"The clock shows {times} twice {where}: {does}.")


def _has_own_hours(trigger: LocalTimeTrigger) -> bool:
    """Tell whether a trigger fires in some hours of the day only. A change does not affect one that fires in each."""
    return isinstance(trigger, CronTrigger) and len(cast("Pattern", trigger.schedule.pattern).hours) < 24


def _of_interval(trigger: IntervalTrigger, change: OffsetPeriod) -> JobWarning | None:
    at = from_seconds(change.start)
    if trigger.interval % _DAY or trigger.next_after(at) is None:
        return None
    moved = timedelta(seconds=abs(change.start + change.offset - change.passed))
    message = (
        f"Counts elapsed time: the clock changes on {_day(change.start + change.offset)} ({trigger.timezone.key}), and "
        f"its local time moves by {amount_words(moved)}. For the same local time use the trigger calendarinterval."
    )
    return JobWarning(WarningCode.MOVED_BY_CLOCK, message)


def _of_date(trigger: DateTrigger, change: OffsetPeriod) -> JobWarning | None:
    if trigger.local is None:
        return None
    local = to_seconds(trigger.local)
    low, high = sorted((change.passed, change.start + change.offset))
    if not low <= local < high:
        return None
    day, zone = _day(local), trigger.timezone.key
    if change.passed == low:
        fires = to_seconds(trigger.run_date) + change.offset
        message = f"The clock skips {_clock(local)} on {day} ({zone}): it fires at {_clock(fires)}."
        return JobWarning(WarningCode.SKIPPED_BY_CLOCK, message)
    message = f"The clock shows {_clock(local)} twice on {day} ({zone}): it fires the first time."
    return JobWarning(WarningCode.REPEATED_BY_CLOCK, message)


def _clock(local: int) -> str:
    time = from_seconds(local).time()
    return f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"


def _day(local: int) -> str:
    return from_seconds(local).date().isoformat()
