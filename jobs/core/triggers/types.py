"""The kinds of triggers: interval, cron, calendarinterval and date, and jitter on top of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from hashlib import blake2b
from typing import cast

from ..times import MICROSECOND
from .base import LATEST, Trigger, Window, local_words
from .calendar_dates import CalendarPattern
from .cron import Schedule, from_seconds, to_seconds
from .pattern import Pattern
from .words import calendar_words, cron_words, interval_words


class IntervalTrigger(Trigger):
    """Fires at `first` and every `interval` from there on, in elapsed time: clock changes do not move it."""

    __slots__ = ("first", "interval", "window")

    def __init__(self, interval: timedelta, first: datetime, window: Window) -> None:
        """Keep a positive interval, the first fire time (aware, in UTC), and the window, whose end counts."""
        self.timezone = window.zone
        self.interval = interval
        self.first = first
        self.window = window

    def next_after(self, after: datetime) -> datetime | None:
        """Return `first` + n `interval` for the least n that gives a time after `after`."""
        number = (after - self.first) // self.interval + 1
        try:
            time = self.first + self.interval * number if number > 0 else self.first
        except OverflowError:
            return None
        return time if self.window.end is None or time <= self.window.end else None

    def latest_until(self, until: datetime) -> datetime | None:
        """Return `first` + n `interval` for the greatest n that gives no time after `until`."""
        number = self._number(until)
        return self.first + self.interval * number if number >= 0 else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return the difference of both instants' numbers."""
        return max(self._number(until) - self._number(after), 0)

    def describe(self) -> str:
        """Return for example "every 1 hour 30 minutes, from 2027-01-01 00:00:00 UTC"."""
        return f"every {interval_words(self.interval)}" + self.window.words(zone=False)

    def __str__(self) -> str:
        """Return APScheduler's form: interval[0:00:05]."""
        return f"interval[{self.interval}]"

    def _number(self, until: datetime) -> int:
        """Return the number, from 0, of the last fire time up to `until`; -1 if there is none."""
        if self.window.end is not None and self.window.end < until:
            until = self.window.end
        return max((until - self.first) // self.interval, -1)


class LocalTimeTrigger(Trigger):
    """Fires when the local clock shows a time of a schedule; see `cron` for changes of the clock."""

    __slots__ = ("_first", "_last", "schedule", "window")

    def __init__(self, schedule: Schedule, window: Window) -> None:
        """Keep the schedule and the window."""
        self.timezone = window.zone
        self.schedule = schedule
        self.window = window
        self._first = -1 if window.start is None else to_seconds(window.start - MICROSECOND) + 1
        self._last = to_seconds(window.end or LATEST)

    def next_after(self, after: datetime) -> datetime | None:
        """Return the schedule's next second within the window."""
        second = self.schedule.first(max(to_seconds(after) + 1, self._first))
        return None if second is None or second > self._last else from_seconds(second)

    def latest_until(self, until: datetime) -> datetime | None:
        """Return the schedule's last second within the window."""
        second = self.schedule.last(min(to_seconds(until), self._last))
        return None if second is None or second < self._first else from_seconds(second)

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many of the schedule's seconds are in both the window and the range."""
        return self.schedule.count(max(to_seconds(after) + 1, self._first), min(to_seconds(until), self._last) + 1)

    def is_open_at(self, second: int) -> bool:
        """Tell whether an instant, in seconds as in `cron`, is within the window."""
        return self._first <= second <= self._last


class CronTrigger(LocalTimeTrigger):
    """Fires at the times of a cron expression."""

    __slots__ = ("expressions",)

    def __init__(self, schedule: Schedule, expressions: Mapping[str, str], window: Window) -> None:
        """Keep the schedule of the expressions, which are given by field or as "crontab", and the window."""
        super().__init__(schedule, window)
        self.expressions = expressions

    def describe(self) -> str:
        """Return for example "at 02:30 on Monday through Friday (Europe/Berlin)"."""
        first_weekday = "sun" if "crontab" in self.expressions else "mon"
        words = cron_words(cast("Pattern", self.schedule.pattern), first_weekday=first_weekday)
        return words + self.window.words(zone=True)

    def __str__(self) -> str:
        """Return APScheduler's form: cron[hour='9', minute='0'], cron[crontab='30 2 * * 1-5']."""
        return f"cron[{', '.join(f'{name}={text!r}' for name, text in self.expressions.items())}]"


class CalendarIntervalTrigger(LocalTimeTrigger):
    """Fires at the same local time of the day every so many years, months, weeks or days."""

    __slots__ = ("parts", "start")

    def __init__(self, schedule: Schedule, parts: Mapping[str, int], start: date, window: Window) -> None:
        """Keep the schedule, its parts above 0 ("years", "months", "weeks", "days"), the first date, and the window."""
        super().__init__(schedule, window)
        self.parts = parts
        self.start = start

    def describe(self) -> str:
        """Return for example "at 09:00 every 2 weeks on Monday, from 2027-01-04 (Europe/Berlin)"."""
        words = calendar_words(self.parts, self.start, self._second)
        return words + self.window.words(zone=True, first_day=self.start)

    def __str__(self) -> str:
        """Return APScheduler's names: calendarinterval[weeks=2, time='09:00:00']."""
        parts = "".join(f"{name}={number}, " for name, number in self.parts.items())
        return f"calendarinterval[{parts}time='{timedelta(seconds=self._second)!s:0>8}']"

    @property
    def _second(self) -> int:
        return cast("CalendarPattern", self.schedule.pattern).second


class DateTrigger(Trigger):
    """Fires once, at `run_date`."""

    __slots__ = ("local", "run_date", "window")

    def __init__(self, run_date: datetime, local: datetime | None, window: Window) -> None:
        """Keep the aware instant in UTC, the local time that it was given as, if any, and the window (its zone counts).

        `local` is what the clock shows at that time, with UTC as its zone; None where the instant had an offset.
        """
        self.timezone = window.zone
        self.run_date = run_date
        self.local = local
        self.window = window

    def next_after(self, after: datetime) -> datetime | None:
        """Return the run date if it is still to come."""
        return self.run_date if self.run_date > after else None

    def latest_until(self, until: datetime) -> datetime | None:
        """Return the run date if it has come."""
        return self.run_date if self.run_date <= until else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return 1 or 0."""
        return int(after < self.run_date <= until)

    def describe(self) -> str:
        """Return for example "once at 2027-06-01 10:00:00 UTC"."""
        words = local_words(self.run_date, self.timezone)
        return f"once at {words}" + ("" if words.endswith(self.timezone.key) else self.window.words(zone=False))

    def __str__(self) -> str:
        """Return APScheduler's form: date[2024-01-15 14:30:00 UTC]."""
        return f"date[{local_words(self.run_date.replace(microsecond=0), self.timezone)}]"


class JitteredTrigger(Trigger):
    """Fires as another trigger does, each time later by a share of `jitter` that every process works out alike.

    A fire time stays before the next one of the other trigger, so their order and number do not change, and never comes
    after `end`.
    """

    __slots__ = ("base", "end", "jitter", "key")

    def __init__(self, base: Trigger, jitter: timedelta, key: str, end: datetime | None) -> None:
        """Keep the other trigger, the longest delay, the key that tells jobs apart, and the window's end (aware)."""
        self.timezone = base.timezone
        self.base = base
        self.jitter = jitter
        self.key = key
        self.end = LATEST if end is None else end

    def next_after(self, after: datetime) -> datetime | None:
        """Return the delayed time of the other trigger's last one up to `after`, or else of its next."""
        behind = self.base.latest_until(after)
        if behind is not None and (time := self._delayed(behind)) > after:
            return time
        ahead = self.base.next_after(after)
        return None if ahead is None else self._delayed(ahead)

    def latest_until(self, until: datetime) -> datetime | None:
        """Return the delayed time of the other trigger's last one up to `until`, or else of the one before."""
        behind = self.base.latest_until(until)
        if behind is not None and self._delayed(behind) > until:
            behind = self.base.latest_until(behind - MICROSECOND)
        return None if behind is None else self._delayed(behind)

    def count(self, after: datetime, until: datetime) -> int:
        """Return the other trigger's count, corrected for a delayed time at either end."""
        if until <= after:
            return 0
        return self.base.count(after, until) + self._under_way(after) - self._under_way(until)

    def describe(self) -> str:
        """Return the other trigger's words and the longest delay."""
        seconds = self.jitter.total_seconds()
        return f"{self.base.describe()}, each up to {seconds:g} {'second' if seconds == 1 else 'seconds'} later"

    def __str__(self) -> str:
        """Return the other trigger's form, as APScheduler does."""
        return str(self.base)

    def _under_way(self, at: datetime) -> bool:
        behind = self.base.latest_until(at)
        return behind is not None and self._delayed(behind) > at

    def _delayed(self, time: datetime) -> datetime:
        following = self.base.next_after(time)
        room = (LATEST if following is None else following - MICROSECOND) - time
        digest = blake2b(f"{self.key}|{time.isoformat()}".encode(errors="backslashreplace"), digest_size=8).digest()
        delay = MICROSECOND * (int.from_bytes(digest) % (min(self.jitter, room) // MICROSECOND + 1))
        return min(time + delay, self.end)
