"""Helpers for the tests of cron expressions."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from jobs.core.triggers.cron import Schedule, from_seconds, to_seconds
from jobs.core.triggers.crontab import parse_crontab


def utc(text: str) -> datetime:
    """Return an instant in UTC from ISO 8601."""
    return datetime.fromisoformat(text).astimezone(UTC)


def times(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the first `count` fire times after an instant."""
    found: list[datetime] = []
    at = to_seconds(after) + 1
    while len(found) < count and (second := schedule.first(at)) is not None:
        found.append(from_seconds(second))
        at = second + 1
    return found


def crontab(text: str, zone: str = "UTC") -> Schedule:
    """Return the schedule of a crontab expression."""
    return Schedule(*parse_crontab(text), ZoneInfo(zone))
