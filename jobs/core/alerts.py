"""Decide when to notify people of an incident. Nothing here uses a database or a clock."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from zoneinfo import ZoneInfo

REPEAT = timedelta(days=1)
"""Time after which people are notified again of an open incident that nobody has acknowledged."""
MOST_ERRORS = 10
"""Different errors of one incident of which people are notified between two repetitions."""
BACKOFF_SECONDS = (10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
"""Waits between two attempts to deliver; the last attempt follows the last wait."""


class IncidentKind(StrEnum):
    """The subject of an incident. A job has at most one open incident of each kind."""

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
    """The state of an incident."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """Somebody has acknowledged it: it is not repeated."""
    RECOVERED = "recovered"


class AlertEvent(StrEnum):
    """The events of which a rule can notify people."""

    FAILURE = "failure"
    LOST = "lost"
    NOT_RUN = "not_run"
    TOO_LONG = "too_long"
    DEADLINE = "deadline"
    SCHEDULER = "scheduler"
    RECOVERY = "recovery"


class Reason(StrEnum):
    """The reason for a notification."""

    OPENED = "opened"
    CHANGED = "changed"
    """The error has changed since the last notification."""
    REPEATED = "repeated"
    RECOVERED = "recovered"
    TEST = "test"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Its last attempt failed."""
    DROPPED = "dropped"
    """Its incident recovered before the quiet hours were over."""


class Notified(NamedTuple):
    """A rule's notifications of an incident: the time of the last one, and the errors that they were about."""

    at: datetime
    fingerprints: tuple[str, ...]
    """The fingerprints of those errors, since the last repetition."""

    @classmethod
    def after(cls, last: Notified | None, reason: Reason, fingerprint: str, now: datetime) -> Notified:
        """Return the record after one more notification, whose previous record is `last`."""
        known = last.fingerprints if last is not None and reason is Reason.CHANGED else ()
        return cls(now, (*known, fingerprint))


def reason_to_notify(
    *, count: int, after: int, fingerprint: str, last: Notified | None, acknowledged: bool, now: datetime
) -> Reason | None:
    """Return the reason for which a rule notifies people of an incident at `now`, or None if it does not.

    Args:
        count: unsuccessful runs of the incident so far.
        after: unsuccessful runs in a row from which on the rule notifies.
        fingerprint: of the incident's newest error.
        last: the rule's notifications of this incident; None for none yet. An error that comes back is no news.
        acknowledged: whether somebody has acknowledged the incident.
    """
    if count < after:
        return None
    if last is None:
        return Reason.OPENED
    if fingerprint not in last.fingerprints and len(last.fingerprints) < MOST_ERRORS:
        return Reason.CHANGED
    if not acknowledged and now - last.at >= REPEAT:
        return Reason.REPEATED
    return None


def fingerprint_of(error: str) -> str:
    """Return the fingerprint that errors of one kind share, as 16 hexadecimal digits.

    Numbers, addresses and quoted texts differ from one occurrence to the next, so they are left out.
    """
    line = error.strip().partition("\n")[0]
    line = re.sub(r"'[^']*'|\"[^\"]*\"", "…", line)
    line = re.sub(r"\b0x[0-9a-fA-F]+\b|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", line)
    return blake2b(line.encode("utf-8", "replace"), digest_size=8).hexdigest()


def quiet_until(now: datetime, start: time | None, end: time | None, zone: ZoneInfo) -> datetime | None:
    """Return the end of the quiet hours, or None if `now` does not lie in them.

    `start` and `end` are times of day in `zone`, and may pass midnight. Without both there are no quiet hours.
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
    """Return the time of the next attempt after `attempts` failed ones; None after the last attempt."""
    if attempts > len(BACKOFF_SECONDS):
        return None
    return now + timedelta(seconds=BACKOFF_SECONDS[attempts - 1])
