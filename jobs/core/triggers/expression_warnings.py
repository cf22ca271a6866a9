"""Warnings about expressions: steps, days that months lack, day of the month or weekday."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple, cast

from ..warnings import JobWarning, WarningCode
from .calendar_dates import interval_of
from .crontab import read_fields
from .fields import CALENDAR_UNITS, INTERVAL_UNITS, MAX_INTERVAL_SECONDS
from .grammar import BOUNDS, Term, parse_field
from .pattern import LONGEST, WEEKDAYS, DayRule, Pattern
from .types import CalendarIntervalTrigger, CronTrigger
from .words import MONTH_NAMES, date_words, existing_days, listed, ordinal, weekday_words

_ALL_DAYS = frozenset(range(1, 32))


class _Unit(NamedTuple):
    """The unit of a field: the whole that it divides and its size, and the trigger and field for every n units."""

    whole: str
    size: int
    trigger: str
    field: str


_UNITS = {
    "second": _Unit("minute", 60, "interval", "seconds"),
    "minute": _Unit("hour", 60, "interval", "minutes"),
    "hour": _Unit("day", 24, "interval", "hours"),
    "day": _Unit("month", 31, "calendarinterval", "days"),
    "weekday": _Unit("week", 7, "calendarinterval", "days"),
    "day_of_week": _Unit("week", 7, "calendarinterval", "days"),
    "week": _Unit("year", 53, "calendarinterval", "weeks"),
    "month": _Unit("year", 12, "calendarinterval", "months"),
}


def cron_warnings(trigger: CronTrigger) -> Iterator[JobWarning]:
    """Return the warnings of a cron expression."""
    pattern = cast("Pattern", trigger.schedule.pattern)
    yield from _day_or_weekday(pattern)
    yield from _missing_months(pattern)
    for name, low, high, terms in _fields(trigger):
        # "*/100,1-7" is a known way to have day AND weekday in a crontab, so only a step that stands alone is checked.
        if len(terms) == 1 and isinstance(terms[0], range) and terms[0].step > 1 and name in _UNITS:
            yield from _step(name, low, high, terms[0], pattern)


def calendar_warnings(trigger: CalendarIntervalTrigger) -> Iterator[JobWarning]:
    """Return the warnings of a calendar interval."""
    start, (months, days) = trigger.start, interval_of(trigger.parts)
    if months and not days:
        yield from _without_day(start.day, {(start.month - 1 + months * number) % 12 + 1 for number in range(12)})


def _day_or_weekday(pattern: Pattern) -> Iterator[JobWarning]:
    rule = existing_days(pattern.days)
    if rule.either:
        message = f"{_either_words(rule)} For days that are both, use the fields day and day_of_week."
        yield JobWarning(WarningCode.DAY_OR_WEEKDAY, message)


def _either_words(rule: DayRule) -> str:
    if rule.days >= _ALL_DAYS or rule.weekdays.issuperset(WEEKDAYS):
        return "Fires every day: the day of the month or the weekday is enough in a crontab, and one of them is any."
    days, weekdays = date_words(rule.days), weekday_words(rule.weekdays, "sun")
    return f"Fires on {days} or on {weekdays}: one of the two is enough in a crontab."


def _missing_months(pattern: Pattern) -> Iterator[JobWarning]:
    rule = pattern.days
    if rule.either:
        return  # its weekdays come in every month
    days = rule.days if rule.weekdays.issuperset(WEEKDAYS) or rule.days < _ALL_DAYS else rule.weekdays
    numbers = [day for day in days if isinstance(day, int)]
    if len(numbers) == len(days):
        yield from _without_day(min(numbers), rule.months)
    elif all(str(day).startswith("5th ") for day in days):
        message = "Fires only in months that have such a weekday five times."
        yield JobWarning(WarningCode.MISSING_MONTHS, message)


def _without_day(day: int, months: Collection[int]) -> Iterator[JobWarning]:
    missing = [MONTH_NAMES[month - 1] for month in sorted(months) if LONGEST[month - 1] < day]
    if missing:
        many = f"{len(missing)} month{'s' if len(missing) > 1 else ''}"
        message = f"Does not fire in {many} of the year, without a {ordinal(day)}: {listed(missing)}."
        yield JobWarning(WarningCode.MISSING_MONTHS, message)
    elif day == 29 and 2 in months:
        yield JobWarning(WarningCode.MISSING_MONTHS, "Fires in February only in leap years.")


def _fields(trigger: CronTrigger) -> Iterator[tuple[str, int, int, tuple[Term, ...]]]:
    if "crontab" in trigger.expressions:
        for field, terms in read_fields(trigger.expressions["crontab"]):
            yield field.name, field.low, field.high, terms
        return
    for name, text in trigger.expressions.items():
        yield name, *BOUNDS[name], parse_field(name, text)


def _step(name: str, low: int, high: int, values: range, pattern: Pattern) -> Iterator[JobWarning]:
    unit, step = _UNITS[name], values.step
    if step == unit.size and name != "day":
        return  # "0 */24 * * *" is as expected
    instead = (
        ""
        if step > _longest(unit)
        else f' For every {step} {unit.field} use the trigger {unit.trigger} with "{unit.field}": {step}.'
    )
    label = name.replace("_", " ")
    if len(values) == 1:
        message = f"A step of {step} leaves {label} {values[0]} alone in each {unit.whole}.{instead}"
        yield JobWarning(WarningCode.LONG_STEP, message)
    elif _is_whole(name, low, high, values) and unit.size % step and _goes_on(name, pattern):
        again = f"{label} {values[0]} follows {values[-1]}"
        message = f"A step of {step} starts again in each {unit.whole}: {again}.{instead}"
        yield JobWarning(WarningCode.UNEVEN_STEP, message)


def _longest(unit: _Unit) -> int:
    """Return the most units that the trigger of their own takes."""
    if unit.trigger == "interval":
        return MAX_INTERVAL_SECONDS // INTERVAL_UNITS[unit.field]
    return CALENDAR_UNITS[unit.field]


def _is_whole(name: str, low: int, high: int, values: range) -> bool:
    """Tell whether values with a step go over all of a field. The week of a crontab is 1-7 as well as 0-7."""
    is_week = name == "weekday" and values.start == 1 and values.stop == 8
    return is_week or (values[0] == low and values[-1] + values.step > high)


def _goes_on(name: str, pattern: Pattern) -> bool:
    """Tell whether a field's values are followed by the same in the next hour, day or month."""
    if name == "second":
        return len(pattern.minutes) == 60
    if name == "minute":
        return len(pattern.hours) == 24
    if name == "hour":
        return pattern.days.days >= _ALL_DAYS and pattern.days.weekdays.issuperset(WEEKDAYS)
    return True
