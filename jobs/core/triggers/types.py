"""The triggers: what fires when. All are immutable, know no clock, and name their fire times exactly and for ever."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger

from .cron import Schedule, from_seconds, to_seconds
from .words import cron_words

_MICROSECOND = timedelta(microseconds=1)
_LATEST = datetime.max.replace(tzinfo=UTC)


class Window(NamedTuple):
    """What triggers have in common: a time zone, and the aware instants in UTC from and until which they fire.

    `last_day` is the date whose last instant `end` is, as YYYY-MM-DD, where the end was given as a date alone.
    """

    zone: ZoneInfo
    zone_given: bool = False
    start: datetime | None = None
    end: datetime | None = None
    last_day: str = ""

    def words(self, *, zone: bool) -> str:
        """Return the window in words, to follow a trigger's own: ", from … until … (Europe/Berlin)"."""
        start = f", from {local_words(self.start, self.zone)}" if self.start else ""
        until = (
            f"through {self.last_day}" if self.last_day else self.end and f"until {local_words(self.end, self.zone)}"
        )
        end = f"{'' if start else ','} {until}" if until else ""
        return start + end + (f" ({self.zone.key})" if zone or self.zone_given else "")


def local_words(instant: datetime, zone: ZoneInfo) -> str:
    """Return an aware instant in local time, its zone's abbreviation with it: "2027-06-01 12:00:00 CEST"."""
    try:
        local = instant.astimezone(zone)
    except OverflowError:  # the last hours of the year 9999, east of Greenwich
        local = instant
    return f"{local.replace(tzinfo=None).isoformat(sep=' ')} {local.tzname()}"


class Trigger(BaseTrigger):
    """A rule that names fire times: aware datetimes in UTC, in strictly ascending order.

    Attributes:
        timezone: the zone in which the rule's local times are meant.
    """

    __slots__ = ("timezone",)
    timezone: ZoneInfo

    @abstractmethod
    def next_after(self, after: datetime) -> datetime | None:
        """Return the first fire time strictly after the aware `after`; None if there is none."""

    @abstractmethod
    def latest_until(self, until: datetime) -> datetime | None:
        """Return the last fire time at the aware `until` or before it; None if there is none."""

    @abstractmethod
    def count(self, after: datetime, until: datetime) -> int:
        """Return how many fire times are in after < time <= until, without going through them."""

    @abstractmethod
    def describe(self) -> str:
        """Return the rule in plain English, in lower case and without a full stop."""

    def fire_times(self, after: datetime, count: int) -> list[datetime]:
        """Return the next `count` fire times strictly after the aware `after`, or as many as there are."""
        times: list[datetime] = []
        while len(times) < count and (time := self.next_after(after)) is not None:
            times.append(time)
            after = time
        return times

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the fire time after `previous_fire_time`, or without one the first at `now` or later.

        This is the interface of `apscheduler.triggers.base.BaseTrigger`.
        """
        if previous_fire_time is not None:
            return self.next_after(previous_fire_time)
        # In UTC: arithmetic in local time forgets which of two equal local times `now` is.
        return self.next_after(now.astimezone(UTC) - _MICROSECOND)


class IntervalTrigger(Trigger):
    """Fires at `first` and every `interval` from there on, in elapsed time: clock changes do not move it."""

    __slots__ = ("first", "interval", "window")

    def __init__(self, interval: timedelta, first: datetime, window: Window) -> None:
        """Keep a positive interval, the first fire time (aware, in UTC), and the window (its end counts)."""
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
        return f"every {_interval_words(self.interval)}" + self.window.words(zone=False)

    def __str__(self) -> str:
        """Return APScheduler's form: interval[0:00:05]."""
        return f"interval[{self.interval}]"

    def _number(self, until: datetime) -> int:
        """Return the number, from 0, of the last fire time up to `until`; -1 if there is none."""
        if self.window.end is not None and self.window.end < until:
            until = self.window.end
        return max((until - self.first) // self.interval, -1)


def _interval_words(interval: timedelta) -> str:
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
    parts = [f"{number} {unit}{'' if number == 1 else 's'}" for unit, number in numbers.items() if number]
    return parts[0].removeprefix("1 ") if len(parts) == 1 else " ".join(parts)


class CronTrigger(Trigger):
    """Fires when the local clock shows a time of a cron expression; see `cron` for changes of the clock."""

    __slots__ = ("_first", "_last", "expressions", "schedule", "window")

    def __init__(self, schedule: Schedule, expressions: Mapping[str, str], window: Window) -> None:
        """Keep the schedule, its expressions as they were written, by field or as "crontab", and the window."""
        self.timezone = window.zone
        self.schedule = schedule
        self.expressions = expressions
        self.window = window
        self._first = -1 if window.start is None else to_seconds(window.start - _MICROSECOND) + 1
        self._last = to_seconds(window.end or _LATEST)

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

    def describe(self) -> str:
        """Return for example "at 02:30 on Monday through Friday (Europe/Berlin)"."""
        first_weekday = "sun" if "crontab" in self.expressions else "mon"
        words = cron_words(self.schedule.pattern, first_weekday=first_weekday)
        return words + self.window.words(zone=True)

    def __str__(self) -> str:
        """Return APScheduler's form: cron[hour='9', minute='0'], cron[crontab='30 2 * * 1-5']."""
        return f"cron[{', '.join(f'{name}={text!r}' for name, text in self.expressions.items())}]"


class DateTrigger(Trigger):
    """Fires once, at `run_date`."""

    __slots__ = ("run_date", "window")

    def __init__(self, run_date: datetime, window: Window) -> None:
        """Keep the aware instant in UTC, and the window (its zone counts)."""
        self.timezone = window.zone
        self.run_date = run_date
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
        self.end = _LATEST if end is None else end

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
            behind = self.base.latest_until(behind - _MICROSECOND)
        return None if behind is None else self._delayed(behind)

    def count(self, after: datetime, until: datetime) -> int:
        """Return the other trigger's count, put right for a time under way at either end."""
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
        room = (_LATEST if following is None else following - _MICROSECOND) - time
        digest = blake2b(f"{self.key}|{time.isoformat()}".encode(errors="backslashreplace"), digest_size=8).digest()
        delay = _MICROSECOND * (int.from_bytes(digest) % (min(self.jitter, room) // _MICROSECOND + 1))
        return min(time + delay, self.end)
