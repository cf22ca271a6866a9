"""Decide when people are told of an incident, without a database and without a clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

REPEAT = timedelta(days=1)
"""An open incident that nobody has acknowledged is told again after this time."""
BACKOFF_SECONDS = (10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Waits between two attempts to deliver; the last attempt follows the last wait."""


class IncidentKind(StrEnum):
    """What an incident is about. A job has at most one open incident of each kind."""

    FAILURE = "failure"
    """Its runs fail, time out or are lost."""
    NOT_RUN = "not_run"
    """A fire time was missed or skipped."""
    TOO_LONG = "too_long"
    """A run has been running for longer than its rule allows."""
    DEADLINE = "deadline"
    """No run succeeded by the time of day that its rule names."""
    SCHEDULER = "scheduler"
    """A scheduler was lost. It has no job."""


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has acknowledged it: it is not repeated."""
    RECOVERED = "recovered"


class AlertEvent(StrEnum):
    """The events that a rule may tell."""

    FAILURE = "failure"
    LOST = "lost"
    NOT_RUN = "not_run"
    TOO_LONG = "too_long"
    DEADLINE = "deadline"
    SCHEDULER = "scheduler"
    RECOVERY = "recovery"


class Reason(StrEnum):
    """Why people are told."""

    OPENED = "opened"
    CHANGED = "changed"
    """Its error has changed since people were told."""
    REPEATED = "repeated"
    RECOVERED = "recovered"
    TEST = "test"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """It was given up after its last attempt."""
    DROPPED = "dropped"
    """Its incident recovered before quiet hours were over."""


class Told(NamedTuple):
    """What a rule told last of an incident: when, and with which fingerprint."""

    at: datetime
    fingerprint: str


def reason_to_tell(
    *, count: int, after: int, fingerprint: str, told: Told | None, acknowledged: bool, now: datetime
) -> Reason | None:
    """Return why a rule tells of an incident at `now`, or None where it does not.

    Args:
        count: unsuccessful runs of the incident so far.
        after: unsuccessful runs in a row from which on the rule tells.
        fingerprint: of its newest error.
        told: what the rule told of this incident last; None for nothing yet.
        acknowledged: whether somebody has taken the incident on.
    """
    if count < after:
        return None
    if told is None:
        return Reason.OPENED
    if fingerprint != told.fingerprint:
        return Reason.CHANGED
    if not acknowledged and now - told.at >= REPEAT:
        return Reason.REPEATED
    return None


def fingerprint_of(error: str) -> str:
    """Return what errors of one kind have in common, as 16 hexadecimal digits.

    Numbers, addresses and quoted texts differ from one occurrence to the next, so they do not count.
    """
    line = error.strip().partition("\n")[0]
    line = re.sub(r"'[^']*'|\"[^\"]*\"", "…", line)
    line = re.sub(r"\b0x[0-9a-fA-F]+\b|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", line)
    return blake2b(line.encode("utf-8", "replace"), digest_size=8).hexdigest()


def quiet_until(now: datetime, start: time | None, end: time | None, zone: ZoneInfo) -> datetime | None:
    """Return when the quiet hours end that `now` lies in; None where it lies in none.

    `start` and `end` are times of day in `zone`; quiet hours may pass midnight. Without both there are none.
    """
    if start is None or end is None or start == end:
        return None
    local = now.astimezone(zone)
    clock = local.time().replace(tzinfo=None)
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    return datetime.combine(day, end, tzinfo=zone)


def deadline_on(now: datetime, at: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the start of the day that `now` lies in, and the day's deadline, both in `zone`."""
    today = now.astimezone(zone).date()
    return datetime.combine(today, time(), tzinfo=zone), datetime.combine(today, at, tzinfo=zone)


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """Return when a delivery is tried again after `attempts` failed attempts; None where it is given up."""
    if attempts > len(BACKOFF_SECONDS):
        return None
    return now + timedelta(seconds=BACKOFF_SECONDS[attempts - 1])


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` (0 to 1) of `values` lie, by the nearest rank; None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
