"""Reads the sentences of `jobs.core.triggers.words` back into times, without looking at any expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import product

DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
UNITS = {"second": 60, "minute": 60, "hour": 24}

Days = Callable[[date], bool]
_EVERY_NTH = r"every (\d+)\w\w (?:ISO week|year) from (\d+) through (\d+)"
_PERIOD = re.compile(rf",? (?:in|from) (?=ISO|\d{{4}}|every \d+\w\w (?:ISO|year)|{'|'.join(MONTH_NAMES)})")
_DATES = re.compile(rf" on | every day|{_PERIOD.pattern}")


class Claims:
    """The meaning of a sentence: the times of a day (seconds since midnight), and the days."""

    def __init__(self, sentence: str) -> None:
        place = _DATES.search(sentence)
        times, dates = (sentence, "") if place is None else (sentence[: place.start()], sentence[place.start() :])
        self.times = sorted(set(read_times(times)))
        period = _PERIOD.search(dates)
        days, periods = (dates, "") if period is None else (dates[: period.start()], dates[period.start() :])
        self._tests = [read_days(days.strip()), *read_periods(periods)]

    def holds_on(self, day: date) -> bool:
        """Whether the sentence says that something fires on `day`."""
        return all(test(day) for test in self._tests)


def read_times(text: str) -> Iterator[int]:
    """Return the seconds since midnight that the first part of a sentence names."""
    if text.startswith("every hour, at "):
        yield from (h * 3600 + m * 60 for h in range(24) for m in read_part(text.removeprefix("every hour, at ")))
    elif (match := re.fullmatch(r"at ((?:\d\d:\d\d(?::\d\d)?(?:, | and )?)+)", text)) is not None:
        yield from map(clock, split(match[1]))
    elif (match := re.fullmatch(r"every (?:(\d+) )?(minute|hour)s? from (\S+) through (\S+)", text)) and ":" in text:
        step = int(match[1] or 1) * (60 if match[2] == "minute" else 3600)
        yield from range(clock(match[3]), clock(match[4]) + 1, step)
    else:
        yield from read_units(text)


def read_units(text: str) -> Iterator[int]:
    """Read "every 20 seconds", "at minute 5 of hours 1 and 2", "every second of every minute of hour 9"."""
    values = {"second": [0], "minute": list(range(60)), "hour": list(range(24))}
    for part in text.removeprefix("at ").split(" of "):
        unit = next(unit for unit in UNITS if unit in part)
        values[unit] = read_part(part)
    yield from (h * 3600 + m * 60 + s for h, m, s in product(values["hour"], values["minute"], values["second"]))


def read_part(text: str) -> list[int]:
    """Read "every 20 seconds", "every 7th minute from 0 through 56", "every hour", "minutes 0 through 10, 15"."""
    if match := re.fullmatch(r"every (\d+) (\w+)s", text):
        return list(range(0, UNITS[match[2]], int(match[1])))
    if match := re.fullmatch(r"every (?:(\d+)(?:st|nd|rd|th) )?(\w+)(?: from (\d+) through (\d+))?", text):
        first, last = int(match[3] or 0), int(match[4] or UNITS[match[2]] - 1)
        return list(range(first, last + 1, int(match[1] or 1)))
    match = re.fullmatch(r"(?:second|minute|hour)s? (.+)", text)
    assert match, text
    return sorted(value for item in split(match[1]) for value in span(item, int))


def read_days(text: str) -> Days:
    """Read "every day", "on the 13th of the month or on a Friday", …"""
    if text in ("", "every day"):
        return lambda day: True
    first, word, second = re.fullmatch(r"on (.+?)(?:( or on | if it is )(.+))?", text).groups()  # type: ignore[union-attr]
    if word is None:
        return read_dates(first)
    one, other = read_dates(first), read_dates(second)
    if word == " or on ":
        return lambda day: one(day) or other(day)
    return lambda day: one(day) and other(day)


def read_dates(text: str) -> Days:
    """Read one condition: days of the month, or weekdays."""
    every = re.fullmatch(r"every (\d+)\w\w day from the (\d+)\w\w through the (\d+)\w\w of (.+)", text)
    if every:
        days = range(int(every[2]), int(every[3]) + 1, int(every[1]))
        return in_months(every[4], lambda day: day.day in days)
    text = re.sub(r"^a (day from )?", "", text)
    tests: list[Days] = []
    for item in re.split(rf"(?:, | and | or )(?=the |{'|'.join(DAY_NAMES)})", text):
        match = re.fullmatch(r"the (.+) of (.+)", item)
        if match is None:
            tests += map(weekdays, split(item))
        else:
            tests += [in_months(match[2], date_test(name)) for name in split(match[1])]
    return lambda day: any(test(day) for test in tests)


def in_months(text: str, test: Days) -> Days:
    """Restrict a test to the months of "of the month" (all of them) or "of January and July"."""
    months = MONTH_NAMES if text == "the month" else tuple(split(text))
    return lambda day: MONTH_NAMES[day.month - 1] in months and test(day)


def weekdays(item: str) -> Days:
    """Read "Friday" or "Friday through Sunday"."""
    first, _, last = item.partition(" through ")
    start, end = DAY_NAMES.index(first), DAY_NAMES.index(last or first)
    length = (end - start) % 7
    return lambda day: (day.weekday() - start) % 7 <= length


def date_test(name: str) -> Days:
    """Read "13th", "1st through 7th", "last day", "last workday", "3rd Friday"."""
    if match := re.fullmatch(r"(\d+)\w\w(?: through (\d+)\w\w)?", name):
        low, high = int(match[1]), int(match[2] or match[1])
        assert name == f"{low}{suffix(low)}" + (f" through {high}{suffix(high)}" if match[2] else "")
        return lambda day: low <= day.day <= high
    position, what = name.split(" ")
    if what == "day":
        return lambda day: (day + timedelta(days=1)).day == 1
    if what == "workday":
        return lambda day: (
            day.weekday() < 5
            and all(
                later.month != day.month or later.weekday() > 4
                for later in (day + timedelta(days=n) for n in (1, 2, 3))
            )
        )
    weekday, week = DAY_NAMES.index(what), timedelta(days=7)
    if position == "last":
        return lambda day: day.weekday() == weekday and (day + week).month != day.month
    nth = int(position[0])
    return lambda day: day.weekday() == weekday and (day.day - 1) // 7 == nth - 1


def read_periods(text: str) -> Iterator[Days]:
    """Read " in ISO weeks 10 and 11 from June through August in 2027"."""
    for word, rest in re.findall(r"(in|from) (.+?)(?=$| in |(?<!week)(?<!year) from )", text.removeprefix(",").strip()):
        if every := re.fullmatch(_EVERY_NTH, rest):
            values = range(int(every[2]), int(every[3]) + 1, int(every[1]))
            number = number_of_week if "ISO" in rest else number_of_year
            yield lambda day, values=values, number=number: number(day) in values  # type: ignore[misc]
            continue
        names = [rest] if word == "from" else split(rest.removeprefix("ISO week").removeprefix("s ").strip())
        if "ISO" in rest:
            weeks = {week for item in names for week in span(item, int)}
            yield lambda day, weeks=weeks: day.isocalendar().week in weeks  # type: ignore[misc]
        elif names[0][0].isdigit():
            years = {year for item in names for year in span(item, int)}
            yield lambda day, years=years: day.year in years  # type: ignore[misc]
        else:
            months = {month for item in names for month in span(item, lambda name: MONTH_NAMES.index(name) + 1)}
            yield lambda day, months=months: day.month in months  # type: ignore[misc]


def number_of_week(day: date) -> int:
    """Return the number of a day's ISO week."""
    return day.isocalendar().week


def number_of_year(day: date) -> int:
    """Return the year of a day."""
    return day.year


def suffix(number: int) -> str:
    """Return the ending of an English ordinal."""
    return "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def split(text: str) -> list[str]:
    """Split "a, b and c"."""
    return re.split(", | and | or ", text)


def span(item: str, read: Callable[[str], int]) -> range:
    """Read "5" or "5 through 9"."""
    first, _, last = item.partition(" through ")
    return range(read(first), read(last or first) + 1)


def clock(text: str) -> int:
    """Return the seconds since midnight of "09:30" or "09:30:05"."""
    hour, minute, second = ([*map(int, text.split(":")), 0])[:3]
    return hour * 3600 + minute * 60 + second
