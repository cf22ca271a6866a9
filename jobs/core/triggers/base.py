"""The interface of triggers. They are immutable, read no clock, and give the same answers in every process."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger

from ..times import MICROSECOND

LATEST = datetime.max.replace(tzinfo=UTC)
"""The last instant."""


class Window(NamedTuple):
    """The fields that all kinds of triggers have: a time zone, and the first and last instant (aware, in UTC).

    `last_day` is the end as YYYY-MM-DD where it was given as a date alone: `end` is the last instant of that day.
    """

    zone: ZoneInfo
    zone_given: bool = False
    start: datetime | None = None
    end: datetime | None = None
    last_day: str = ""

    def words(self, *, zone: bool, first_day: date | None = None) -> str:
        """Return the words that follow a trigger's own: ", from … until … (Europe/Berlin)".

        `first_day` takes the place of the start.
        """
        first = first_day or (self.start and local_words(self.start, self.zone))
        start = f", {'' if self.start else 'counted '}from {first}" if first else ""
        until = (
            f"through {self.last_day}" if self.last_day else self.end and f"until {local_words(self.end, self.zone)}"
        )
        end = f"{'' if start else ','} {until}" if until else ""
        return start + end + (f" ({self.zone.key})" if zone or self.zone_given else "")


def local_words(instant: datetime, zone: ZoneInfo) -> str:
    """Return an aware instant in local time, with the zone's abbreviation: "2027-06-01 12:00:00 CEST"."""
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
        return self.next_after(now.astimezone(UTC) - MICROSECOND)
