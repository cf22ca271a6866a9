"""The instants at which the local clock of a time zone shows one of a rule's local times.

Where the clock changes, the rule of Debian's cron(8) holds, for changes of any size. If neither the minute nor the hour
starts with `*`, a time that the clock skips fires once, at the first instant after the gap (several of them once
together), and a time that comes twice fires the first time. Otherwise the clock is followed literally: each real
occurrence fires, and nothing fires in a gap.

An instant is an integer: seconds of UTC, counted as local times are in `jobs.core.triggers.pattern`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from .pattern import DAY, FIRST_YEAR, LAST_YEAR, year_of, year_start

# A local clock and UTC are never more than a day apart: a margin of two days has all local times of a year.
_MARGIN = 2 * DAY
_ZERO = datetime(1, 1, 1, tzinfo=UTC)
_END = year_start(LAST_YEAR + 1) * DAY
_SECOND = timedelta(seconds=1)


class OffsetPeriod(NamedTuple):
    """The instants start <= instant < end, in which the zone's offset (seconds, local minus UTC) stays the same.

    `passed` is the local time that the clock had reached when the period began. If it is less than `start + offset`,
    the clock skips the times between them; if it is more, they come again.
    """

    start: int
    end: int
    offset: int
    passed: int


def to_seconds(instant: datetime) -> int:
    """Return an aware datetime as whole seconds, rounded down."""
    utc = instant.astimezone(UTC)
    return utc.toordinal() * DAY + utc.hour * 3600 + utc.minute * 60 + utc.second


def from_seconds(instant: int) -> datetime:
    """Return an instant in seconds as an aware datetime in UTC; OverflowError outside of the years 1 to 9999."""
    return _ZERO + timedelta(days=instant // DAY - 1, seconds=instant % DAY)


@lru_cache(maxsize=4096)
def offset_periods(zone: ZoneInfo, year: int) -> tuple[OffsetPeriod, ...]:
    """Return the periods of a year of UTC in `zone`, in order, with two days on either side."""
    low, high = year_start(year) * DAY - _MARGIN, year_start(year + 1) * DAY + _MARGIN
    found, before = [], _offset(zone, low)
    for start, end in pairwise([low, *_changes(zone, low, high), high]):
        offset = _offset(zone, start)
        found.append(OffsetPeriod(start, end, offset, start + before))
        before = offset
    return tuple(found)


def _changes(zone: ZoneInfo, low: int, high: int) -> Iterator[int]:
    # zoneinfo does not give its transitions. No zone ever had two within four days: one look a day finds each.
    for early, late in pairwise(range(low, high + 1, DAY)):
        offset = _offset(zone, early)
        if offset == _offset(zone, late):
            continue
        while late - early > 1:
            middle = (early + late) // 2
            early, late = (middle, late) if _offset(zone, middle) == offset else (early, middle)
        yield late


def _offset(zone: ZoneInfo, instant: int) -> int:
    # astimezone overflows near both ends of the calendar.
    local = from_seconds(min(max(instant, 2 * DAY), _END - 2 * DAY)).astimezone(zone)
    return (local.utcoffset() or timedelta()) // _SECOND


class LocalTimes(Protocol):
    """A rule that names local times, in whole seconds: a cron expression, or a calendar interval."""

    def first(self, at: int) -> int | None:
        """Return the first local time at `at` or after it; None if there is none."""

    def last(self, at: int) -> int | None:
        """Return the last local time at `at` or before it; None if there is none."""

    def count(self, low: int, high: int) -> int:
        """Return how many local times are in low <= time < high."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The instants of the local times of `pattern` in `zone`. `fixed`: neither minute nor hour starts with `*`.

    Within a period each local time from `_begin` on fires at `max(start, local - offset)`. That is all of Debian's
    rule: the times of a gap fall on the period's start, and times that come again lie before `_begin`.
    """

    pattern: LocalTimes
    fixed: bool
    zone: ZoneInfo

    def first(self, at: int) -> int | None:
        """Return the first fire time at the instant `at` or after it; None if there is none up to the year 9999."""
        year = max(year_of(at), FIRST_YEAR - 1)
        while year <= LAST_YEAR:
            for period in offset_periods(self.zone, year):
                if period.end <= at:
                    continue
                local = self.pattern.first(self._from(period, at))
                if local is not None and local < period.end + period.offset:
                    fire = max(period.start, local - period.offset)
                    return fire if fire < _END else None
            if local is None:
                return None
            # Nothing matches until `local`, which may be years away.
            year = max(year + 1, year_of(local - _MARGIN))
            at = year_start(year) * DAY
        return None

    def last(self, at: int) -> int | None:
        """Return the last fire time at the instant `at` or before it; None if there is none from the year 1970 on."""
        year = min(year_of(at), LAST_YEAR)
        while year >= FIRST_YEAR - 1:
            for period in reversed(offset_periods(self.zone, year)):
                if period.start > at:
                    continue
                local = self.pattern.last(min(at, period.end - 1) + period.offset)
                if local is not None and local >= self._begin(period):
                    return max(period.start, local - period.offset)
            if local is None:
                return None
            year = min(year - 1, year_of(local + _MARGIN))
            at = year_start(year + 1) * DAY - 1
        return None

    def count(self, low: int, high: int) -> int:
        """Return how many fire times are in low <= instant < high, without going through them."""
        total = 0
        for year in range(max(year_of(low), FIRST_YEAR - 1), min(year_of(high), LAST_YEAR) + 1):
            first, end = max(low, year_start(year) * DAY), min(high, year_start(year + 1) * DAY)
            total += sum(self._count_in(period, first, end) for period in offset_periods(self.zone, year))
        return total

    def _count_in(self, period: OffsetPeriod, low: int, high: int) -> int:
        low, high = max(low, period.start), min(high, period.end)
        if low >= high:
            return 0
        begin = self._from(period, low)
        merged = self.pattern.count(begin, period.start + period.offset + 1)
        return self.pattern.count(begin, high + period.offset) - max(merged - 1, 0)

    def _begin(self, period: OffsetPeriod) -> int:
        return period.passed if self.fixed else period.start + period.offset

    def _from(self, period: OffsetPeriod, at: int) -> int:
        """Return the local time from which on times of `period` fire at the instant `at` or later."""
        begin = self._begin(period)
        return begin if at <= period.start else max(begin, at + period.offset)
