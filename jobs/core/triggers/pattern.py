"""The local times of a cron expression, in whole seconds and without time zones; `cron` adds the zones.

A local time is an integer: seconds counted so that `divmod(local, DAY)` gives the proleptic Gregorian ordinal of its
day (`datetime.date.toordinal`) and the second of that day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from calendar import isleap, monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from math import prod

DAY = 86_400
"""Seconds of a day."""
FIRST_YEAR, LAST_YEAR = 1970, 9999  # APScheduler's bounds; the last is Python's, too
"""The years in which a trigger can fire."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""The names of weekdays, from 0."""
POSITIONS = ("1st", "2nd", "3rd", "4th", "5th", "last")
"""The positions of a weekday in its month."""
LAST_DAY, LAST_WORKDAY = "last", "last workday"
"""The names of a month's last day, and of its last day from Monday to Friday."""
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""The nicknames of crontab expressions, in the order in which messages list them."""
LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of the months, at most."""

DayName = int | str
"""A name of a day: 13, "fri", "2nd fri", "last fri", "last" (of its month), "last workday" (Monday to Friday)."""


def year_start(year: int) -> int:
    """Return the ordinal of 1 January of `year`, as `date.toordinal` would, for the year 10000 as well."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 + 1


def year_of(local: int) -> int:
    """Return the year of a local time or an instant in seconds: 0 or 10000 outside the range of `date`."""
    day = local // DAY
    if day < 1:
        return 0
    return date.fromordinal(day).year if day < year_start(LAST_YEAR + 1) else LAST_YEAR + 1


@dataclass(frozen=True, slots=True)
class DayRule:
    """Which days match, apart from the year: any of `days` and (with `either`: or) any of `weekdays`.

    Attributes:
        months: of 1 to 12.
        weeks: ISO 8601 weeks of 1 to 53, or None where every week matches.
        days: names from the day-of-month field.
        weekdays: names from the day-of-week field.
        either: whether one of `days` and `weekdays` is enough, as in crontab(5) where both fields are restricted.
    """

    months: frozenset[int]
    weeks: frozenset[int] | None
    days: frozenset[DayName]
    weekdays: frozenset[DayName]
    either: bool = False

    def matches(self, names: frozenset[DayName]) -> bool:
        """Tell whether a day with these `names` matches in any month and week."""
        if self.either:
            return not (self.days.isdisjoint(names) and self.weekdays.isdisjoint(names))
        return not (self.days.isdisjoint(names) or self.weekdays.isdisjoint(names))


@cache
def _names(weekday: int, day: int, length: int) -> frozenset[DayName]:
    """Return the names of the `day`-th of a month of `length` days, on `weekday` (0 = Monday)."""
    name = WEEKDAYS[weekday]
    names: set[DayName] = {day, name, f"{POSITIONS[(day - 1) // 7]} {name}"}
    if day + 7 > length:
        names.add(f"last {name}")
    if day == length:
        names.add(LAST_DAY)
    if (weekday == 4 and day + 2 >= length) or (weekday < 4 and day == length):
        names.add(LAST_WORKDAY)
    return frozenset(names)


def _calendar_kind(year: int) -> tuple[int, bool, bool]:
    # The year before decides whether a 1 January that is a Saturday is in ISO week 52 or 53.
    return date(year, 1, 1).weekday(), isleap(year), isleap(year - 1)


_BY_KIND = {_calendar_kind(year): year for year in range(2000, 2400)}
_LIKE = tuple(_BY_KIND[_calendar_kind(year)] for year in range(2000, 2400))
"""For each year of the Gregorian calendar's 400-year cycle, a year with the same calendar: there are few kinds."""


@lru_cache(maxsize=512)
def _days_of_year(rule: DayRule, year: int) -> tuple[int, ...]:
    """Return the matching days of `year`, counted from 1 January = 0, ascending."""
    found = []
    for month in sorted(rule.months):
        weekday, length = monthrange(year, month)
        first = date(year, month, 1)
        for day in range(length):
            if not rule.matches(_names((weekday + day) % 7, day + 1, length)):
                continue
            if rule.weeks is None or first.replace(day=day + 1).isocalendar().week in rule.weeks:
                found.append(first.toordinal() - year_start(year) + day)
    return tuple(found)


@lru_cache(maxsize=512)
def _ever_matches(rule: DayRule) -> bool:
    """Tell whether any kind of year has a matching day. No year has a 30 February."""
    return any(_days_of_year(rule, year) for year in _BY_KIND.values())


@dataclass(frozen=True, slots=True)
class Pattern:
    """The local times of a cron expression: on the days of `days` in `years`, each second of each minute of each hour.

    All numbers are ascending.
    """

    years: Sequence[int]
    days: DayRule
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def first(self, at: int) -> int | None:
        """Return the first matching local time at `at` or after it; None if there is none."""
        day, second = divmod(at, DAY)
        rank = self._rank(second)
        if rank == self._per_day:
            day, rank = day + 1, 0
        found = self._first_day(day)
        if found is None:
            return None
        return found * DAY + self._time(rank if found == day else 0)

    def last(self, at: int) -> int | None:
        """Return the last matching local time at `at` or before it; None if there is none."""
        day, second = divmod(at + 1, DAY)
        rank = self._rank(second)
        if rank == 0:
            day, rank = day - 1, self._per_day
        found = self._last_day(day)
        if found is None:
            return None
        return found * DAY + self._time((rank if found == day else self._per_day) - 1)

    def count(self, low: int, high: int) -> int:
        """Return how many matching local times are in low <= time < high."""
        if low >= high:
            return 0
        (first, start), (last, end) = divmod(low, DAY), divmod(high, DAY)
        before = self._rank(start) if self._first_day(first) == first else 0
        after = self._rank(end) if self._first_day(last) == last else 0
        return self._count_days(first, last) * self._per_day - before + after

    @property
    def _per_day(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def _rank(self, second: int) -> int:
        """Return how many of a matching day's times come before its `second`."""
        minute, second = divmod(second, 60)
        rank, wanted = 0, (*divmod(minute, 60), second)
        levels = (self.hours, self.minutes, self.seconds)
        for level, (values, value) in enumerate(zip(levels, wanted, strict=True)):
            index = bisect_left(values, value)
            rank = rank * len(values) + index
            if index == len(values) or values[index] != value:
                return rank * prod(len(finer) for finer in levels[level + 1 :])
        return rank

    def _time(self, rank: int) -> int:
        """Return the second of the day of a matching day's time number `rank`, from 0."""
        rest, second = divmod(rank, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def _days(self, year: int) -> tuple[int, ...]:
        return _days_of_year(self.days, _LIKE[year % 400])

    def _first_day(self, day: int) -> int | None:
        for year in self.years[bisect_left(self.years, year_of(day * DAY)) :]:
            start, days = year_start(year), self._days(year)
            index = bisect_left(days, day - start)
            if index < len(days):
                return start + days[index]
            if not days and not _ever_matches(self.days):
                return None
        return None

    def _last_day(self, day: int) -> int | None:
        for year in reversed(self.years[: bisect_right(self.years, year_of(day * DAY))]):
            start, days = year_start(year), self._days(year)
            index = bisect_right(days, day - start)
            if index:
                return start + days[index - 1]
        return None

    def _count_days(self, low: int, high: int) -> int:
        first = bisect_left(self.years, year_of(low * DAY))
        last = bisect_right(self.years, year_of(high * DAY))
        return sum(self._count_in_year(year, low, high) for year in self.years[first:last])

    def _count_in_year(self, year: int, low: int, high: int) -> int:
        start, days = year_start(year), self._days(year)
        return bisect_left(days, high - start) - bisect_left(days, low - start)
