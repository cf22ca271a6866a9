"""Triggers in plain English. The words of cron come from the sets of times, so they describe the real fire times.

The tests read the sentences back and compare them with fire times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise, product

from .calendar_dates import interval_of
from .pattern import FIRST_YEAR, LAST_YEAR, LONGEST, WEEKDAYS, DayName, DayRule, Pattern

MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAY_NAMES = dict(
    zip(WEEKDAYS, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)
)

_ALL_DAYS, _ALL_MONTHS = frozenset(range(1, 32)), frozenset(range(1, 13))
_FULL = {"second": 60, "minute": 60, "hour": 24}
_MOST_TIMES = 4
"""Times of a day that are always listed; more are described by their rule, if they have one."""
_MOST_YEARS = 12
"""Years and runs of years that are listed, at most: there may be thousands."""


def cron_words(pattern: Pattern, *, first_weekday: str) -> str:
    """Return a pattern in English: "every 20 seconds", "at 09:00 on the 13th of the month or on a Friday".

    Args:
        pattern: the local times.
        first_weekday: the name in `WEEKDAYS` that lists of weekdays start with: crontabs count from Sunday.
    """
    rule = existing_days(pattern.days)
    times, day, period = _time_words(pattern), _day_words(rule, first_weekday), _period_words(pattern)
    if not day and (times.startswith("at ") or period) and len(pattern.hours) < 24:
        day = "every day"
    elif months := _months_of_dates(rule):
        day, period = day.replace("of the month", f"of {months}"), _period_words(pattern, months=False)
    comma = "," if period and " or on " in day else ""
    return " ".join(filter(None, (times, day + comma, period)))


def interval_words(interval: timedelta) -> str:
    """Return "hour", "24 hours", "2 weeks", "1 hour 30 minutes".

    An interval is elapsed time: "day" and "week" alone would promise the same time of the day, also across DST.
    """
    minutes, second = divmod(interval.seconds, 60)
    hour, minute = divmod(minutes, 60)
    numbers = {"day": interval.days, "hour": hour, "minute": minute, "second": second}
    if interval.days == 1:
        numbers |= {"day": 0, "hour": hour + 24}
    elif interval.seconds == 0 and interval.days % 7 == 0 and interval.days > 7:
        numbers = {"week": interval.days // 7}
    parts = [_many(number, unit) for unit, number in numbers.items() if number]
    return parts[0].removeprefix("1 ") if len(parts) == 1 else " ".join(parts)


def amount_words(time: timedelta) -> str:
    """Return "1 hour", "24 hours", "2 weeks", "1 hour 30 minutes"."""
    words = interval_words(time)
    return words if words[0].isdigit() else f"1 {words}"


def calendar_words(parts: Mapping[str, int], start: date, second: int) -> str:
    """Return a calendar interval in English: "at 09:00 every 2 weeks on Monday".

    Args:
        parts: numbers above 0 of "years", "months", "weeks", "days".
        start: the first date, which gives the day of the others.
        second: the second of the day.
    """
    hour, rest = divmod(second, 3600)
    return f"at {_clock(hour, *divmod(rest, 60))} {_distance_words(*interval_of(parts), start)}"


def _distance_words(months: int, days: int, start: date) -> str:
    if months and days:
        return f"every {_many(months, 'month')} and {_many(days, 'day')}"
    if months % 12 == 0 and months:
        return f"every {_several(months // 12, 'year')} on the {ordinal(start.day)} of {_month(start.month)}"
    if months:
        return f"every {_several(months, 'month')} on the {ordinal(start.day)}"
    if days % 7 == 0:
        weekday = WEEKDAY_NAMES[WEEKDAYS[start.weekday()]]
        return f"every {_several(days // 7, 'week')} on {weekday}"
    return f"every {_several(days, 'day')}"


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _several(number: int, unit: str) -> str:
    return unit if number == 1 else _many(number, unit)


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, … 11th, … 31st."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def listed(parts: Iterable[str], word: str = "and") -> str:
    """Return "a", "a and b", "a, b, c", or with "or" "a, b or c".

    A long list has no "and": of days it would sound as if one day had to be all of them.
    """
    *most, last = parts
    if len(most) > 1 and word == "and":
        return ", ".join([*most, last])
    return f"{', '.join(most)} {word} {last}" if most else last


# Times of the day


def _time_words(pattern: Pattern) -> str:
    hours, minutes, seconds = pattern.hours, pattern.minutes, pattern.seconds
    if len(hours) * len(minutes) * len(seconds) <= _MOST_TIMES:
        return "at " + listed(_clock(*time) for time in product(hours, minutes, seconds))
    if seconds != (0,):
        return _second_words(pattern)
    every = _every("minute", minutes)
    if len(hours) == 24:
        return every or f"every hour, at {_values('minute', minutes)}"
    if len(minutes) == 1:
        return _hour_words(hours, minutes[0])
    if every and hours[-1] - hours[0] < len(hours):
        return f"{every} from {_clock(hours[0], minutes[0])} through {_clock(hours[-1], minutes[-1])}"
    return (every or "at " + _values("minute", minutes)) + " of " + _values("hour", hours)


def _hour_words(hours: Sequence[int], minute: int) -> str:
    step = _step(hours)
    if step is None:
        return "at " + listed(_clock(hour, minute) for hour in hours)
    every = "every hour" if step == 1 else f"every {step} hours"
    return f"{every} from {_clock(hours[0], minute)} through {_clock(hours[-1], minute)}"


def _second_words(pattern: Pattern) -> str:
    every = _every("second", pattern.seconds)
    words = [every or f"at {_values('second', pattern.seconds)}"]
    if not every or len(pattern.minutes) < 60:
        words.append(_values("minute", pattern.minutes))
    if len(pattern.hours) < 24 or len(pattern.minutes) < 60:
        words.append(_values("hour", pattern.hours))
    return " of ".join(words)


def _every(unit: str, values: Sequence[int]) -> str:
    """Return "every minute" or "every 15 minutes" where the values go on evenly from one hour to the next."""
    step = _FULL[unit] // len(values)
    if len(values) == 1 or list(values) != list(range(0, _FULL[unit], step)):
        return ""
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _values(unit: str, values: Sequence[int]) -> str:
    """Return "every hour", "hour 9", "every hour from 9 through 17", "every 2nd hour from 0 through 22", …"""
    step = _step(values)
    if step == 1 and unit in _FULL:
        span = f" from {values[0]} through {values[-1]}" if len(values) < _FULL[unit] else ""
        return f"every {unit}{span}"
    if step is not None and step > 1:
        return f"every {ordinal(step)} {unit} from {values[0]} through {values[-1]}"
    return _numbers(unit, values)


def _numbers(unit: str, values: Sequence[int]) -> str:
    """Return "minute 5", "minutes 5 and 7", "minutes 0 through 10, 15"."""
    return f"{unit}{'s' if len(values) > 1 else ''} {listed(_runs(values, str))}"


def _step(values: Sequence[int]) -> int | None:
    """Return the distance between neighbours, if it is always the same and there are at least five values."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return steps.pop() if len(values) > _MOST_TIMES and len(steps) == 1 else None


def _clock(hour: int, minute: int, second: int = 0) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


# Days


def _day_words(rule: DayRule, first_weekday: str) -> str:
    """Return "on the 13th of the month", "on Monday through Friday", …; "" for every day."""
    every_day = rule.days >= _ALL_DAYS
    every_weekday = rule.weekdays.issuperset(WEEKDAYS)
    if (every_day and every_weekday) or (rule.either and (every_day or every_weekday)):
        return ""
    if every_day:
        return f"on {_weekdays(rule.weekdays, first_weekday)}"
    if every_weekday:
        return f"on {date_words(rule.days)}"
    if rule.either:
        return f"on {date_words(rule.days)} or on {weekday_words(rule.weekdays, first_weekday)}"
    return f"on {date_words(rule.days)} if it is {weekday_words(rule.weekdays, first_weekday)}"


def existing_days(rule: DayRule) -> DayRule:
    """Return a rule without the days that none of its months has: nothing fires on a 31 February."""
    longest = max(LONGEST[month - 1] for month in rule.months)
    days = frozenset(day for day in rule.days if isinstance(day, str) or day <= longest)
    if not days:
        return replace(rule, days=_ALL_DAYS, either=False) if rule.either else rule
    return rule if rule.days >= _ALL_DAYS else replace(rule, days=days)


def date_words(days: frozenset[DayName]) -> str:
    """Return "the 13th of the month", "the 1st through 7th, last day of the month", …"""
    numbers = sorted(day for day in days if isinstance(day, int))
    named = sorted(_position(str(day)) for day in days if isinstance(day, str))
    step = _step(numbers)
    if step is not None and 1 < step < 7 and not named:
        return (
            f"every {ordinal(step)} day from the {ordinal(numbers[0])} through the {ordinal(numbers[-1])} of the month"
        )
    return f"the {listed([*_runs(numbers, ordinal), *named])} of the month"


def _weekdays(weekdays: frozenset[DayName], first: str, word: str = "and") -> str:
    plain = [day for day in _week_from(first) if day in weekdays]
    # "3rd fri" adds nothing to "fri".
    nth = sorted(name for name in map(str, weekdays) if " " in name and name.split(" ")[1] not in plain)
    named = [f"the {listed(map(_position, nth), word)} of the month"] if nth else []
    return listed([*_weekday_runs(plain), *named], word)


def weekday_words(weekdays: frozenset[DayName], first: str) -> str:
    """Return "a Friday", "a Saturday or Sunday", "a day from Monday through Friday", "the 3rd Friday of the month"."""
    words = _weekdays(weekdays, first, "or")
    if words.startswith("the "):
        return words
    return f"a day from {words}" if " through " in words else f"a {words}"


def _weekday_runs(days: Sequence[str]) -> list[str]:
    """Return days by name, three and more in a row as "Friday through Sunday", over the end of the week as well."""
    starts = [day for day in days if WEEKDAYS[WEEKDAYS.index(day) - 1] not in days]
    for start in starts:
        run = _run_of_weekdays(start, days)
        if len(run) > 2:
            rest = [day for day in days if day not in run]
            names = f"{WEEKDAY_NAMES[run[0]]} through {WEEKDAY_NAMES[run[-1]]}"
            return [names, *_weekday_runs(rest)]
    if set(days) == {"sat", "sun"}:
        return ["Saturday", "Sunday"]
    return [WEEKDAY_NAMES[day] for day in days]


def _run_of_weekdays(start: str, days: Sequence[str]) -> list[str]:
    return [day for place, day in enumerate(_week_from(start)) if set(_week_from(start)[: place + 1]) <= set(days)]


def _week_from(first: str) -> list[str]:
    place = WEEKDAYS.index(first)
    return [*WEEKDAYS[place:], *WEEKDAYS[:place]]


def _position(name: str) -> str:
    """Return "last day", "last workday" or "3rd Friday"."""
    position, _, weekday = name.partition(" ")
    return f"{position} {WEEKDAY_NAMES.get(weekday, weekday or 'day')}"


# Months, weeks and years


def _months_of_dates(rule: DayRule) -> str:
    """Return "January" or "January and July" where dates can read "the 1st of January", else ""."""
    if rule.either or rule.days >= _ALL_DAYS or not rule.weekdays.issuperset(WEEKDAYS) or len(rule.months) > 3:
        return ""
    numbers = [day if isinstance(day, int) else 1 for day in rule.days]
    months = [month for month in sorted(rule.months) if min(numbers) <= LONGEST[month - 1]]
    runs = _runs(months, _month)
    has_all = bool(months) and max(numbers) <= min(LONGEST[month - 1] for month in months)
    return listed(runs) if has_all and " through " not in runs[0] else ""


def _period_words(pattern: Pattern, *, months: bool = True) -> str:
    weeks = pattern.days.weeks
    words = []
    if weeks is not None and len(weeks) < 53:
        words.append(f"in {_values('ISO week', sorted(weeks))}")
    if months and pattern.days.months < _ALL_MONTHS:
        words.append(_span(sorted(pattern.days.months), _month))
    if len(pattern.years) <= LAST_YEAR - FIRST_YEAR:
        words.append(_year_words(pattern.years))
    return " ".join(words)


def _year_words(years: Sequence[int]) -> str:
    if (step := _step(years)) and step > 1:
        return f"in {_values('year', years)}"
    if len(_runs(years, str)) > _MOST_YEARS:
        return f"in {len(years):,} of the years from {years[0]} through {years[-1]}"
    return _span(years, str)


def _month(number: int) -> str:
    return MONTH_NAMES[number - 1]


def _span(values: Sequence[int], name: Callable[[int], str]) -> str:
    """Return "in June", "in June and August", or "from June through August"."""
    runs = _runs(values, name)
    return f"from {runs[0]}" if len(runs) == 1 and " through " in runs[0] else f"in {listed(runs)}"


def _runs(values: Sequence[int], name: Callable[[int], str]) -> list[str]:
    """Return values by name, three and more in a row as "1st through 7th"."""
    found: list[list[int]] = []
    for value in values:
        if found and value == found[-1][-1] + 1:
            found[-1].append(value)
        else:
            found.append([value])
    return [
        words
        for run in found
        for words in ([f"{name(run[0])} through {name(run[-1])}"] if len(run) > 2 else map(name, run))
    ]
