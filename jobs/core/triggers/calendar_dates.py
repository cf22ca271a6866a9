"""Every so many years, months, weeks or days: the dates, and the local times that a trigger makes of them.

The dates are those of APScheduler's `CalendarIntervalTrigger`: from one date to the next, years and months are added
first, again and again until the month has such a day, then weeks and days.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple, Protocol

from .pattern import DAY, LAST_YEAR, year_start


class CalendarInterval(NamedTuple):
    """The distance between two dates, with at least one part above 0."""

    months: int
    days: int


def interval_of(parts: Mapping[str, int]) -> CalendarInterval:
    """Return the interval of numbers of "years", "months", "weeks" and "days"."""
    years, months, weeks, days = (parts.get(unit, 0) for unit in ("years", "months", "weeks", "days"))
    return CalendarInterval(12 * years + months, 7 * weeks + days)


class Dates(Protocol):
    """Dates as ordinals (`date.toordinal`), ascending. They end with the year 9999."""

    def up_to(self, day: int) -> Sequence[int]:
        """Return the dates up to the day `day` at least, and one later than that if there is one."""


@lru_cache(maxsize=1024)
def dates_from(start: date, interval: CalendarInterval) -> Dates:
    """Return the dates of an interval, the first of which is `start`."""
    if interval.months == 0:
        return EveryDays(range(start.toordinal(), year_start(LAST_YEAR + 1), interval.days))
    return EveryMonths(start, interval)


class EveryDays:
    """Dates that are always the same number of days apart."""

    def __init__(self, days: range) -> None:
        """Keep the ordinals."""
        self._days = days

    def up_to(self, day: int) -> Sequence[int]:
        """Return all of them: a range takes no memory."""
        return self._days


class EveryMonths:
    """Dates that are some months apart, perhaps with some days more. They are found as far as they are asked for."""

    def __init__(self, start: date, interval: CalendarInterval) -> None:
        """Start with the first date."""
        self._interval = interval
        self._found: tuple[int, ...] = (start.toordinal(),)
        self._complete = False

    def up_to(self, day: int) -> Sequence[int]:
        """Return the dates as far as they are needed."""
        found = self._found
        if found[-1] > day or self._complete:
            return found
        # Threads may do this at the same time: each makes a tuple of its own, and any of them is right.
        longer, following = [*found], self._after(found[-1])
        while following is not None:
            longer.append(following)
            following = self._after(following) if following <= day else None
        self._found = tuple(longer)
        self._complete = longer[-1] <= day
        return self._found

    def _after(self, ordinal: int) -> int | None:
        last = date.fromordinal(ordinal)
        month = last.year * 12 + last.month - 1
        while (month := month + self._interval.months) < (LAST_YEAR + 1) * 12:
            try:
                following = last.replace(year=month // 12, month=month % 12 + 1).toordinal() + self._interval.days
            except ValueError:  # the month has no such day
                continue
            return following if following < year_start(LAST_YEAR + 1) else None
        return None


@dataclass(frozen=True, slots=True)
class CalendarPattern:
    """The local times of a calendar interval: one second of the day, on each of its dates."""

    dates: Dates
    second: int

    def first(self, at: int) -> int | None:
        """Return the first local time at `at` or after it; None if there is none."""
        day = _first_day(at, self.second)
        dates = self.dates.up_to(day)
        place = bisect_left(dates, day)
        return dates[place] * DAY + self.second if place < len(dates) else None

    def last(self, at: int) -> int | None:
        """Return the last local time at `at` or before it; None if there is none."""
        day = (at - self.second) // DAY
        dates = self.dates.up_to(day)
        place = bisect_right(dates, day)
        return dates[place - 1] * DAY + self.second if place else None

    def count(self, low: int, high: int) -> int:
        """Return how many local times are in low <= time < high."""
        if low >= high:
            return 0
        first, end = _first_day(low, self.second), _first_day(high, self.second)
        dates = self.dates.up_to(end)
        return bisect_left(dates, end) - bisect_left(dates, first)


def _first_day(at: int, second: int) -> int:
    """Return the first day whose `second` is at the local time `at` or after it."""
    return -((second - at) // DAY)
