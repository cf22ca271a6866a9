"""The ids of deliveries to workers: UUIDs of version 7, which begin with the time at which they were made.

A run is claimed, or sent again, with a new id. So its row says since when it waits for the broker, without a column
that every run would have.

Source: RFC 9562, section 5.7.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from .retries import growing_wait

COUNTS_AS_LOST_AFTER = timedelta(seconds=60)
"""Time after which the first message of a run counts as lost, if a worker of its queue has a free slot."""
COUNTS_AS_LOST_AT_LATEST = timedelta(seconds=600)
"""The longest time after which a message counts as lost, however often its run was sent."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def counts_as_lost_after(dispatches: int) -> timedelta:
    """Return the time after which the last message of a run counts as lost that was sent `dispatches` times.

    The second message has as much time as the first one, because a worker may have asked for it. Each further one has
    twice as much: if the workers read another broker, all of them stay in this one.
    """
    first, last = COUNTS_AS_LOST_AFTER.total_seconds(), COUNTS_AS_LOST_AT_LATEST.total_seconds()
    return timedelta(seconds=growing_wait(max(dispatches - 1, 1), first, last))


def new_dispatch_id(now: datetime) -> str:
    """Return the id of a delivery that is made at `now`, as 32 hexadecimal digits: 74 bits of them are random."""
    return f"{_milliseconds(now)}7{uuid4().hex[13:]}"


def first_dispatch_id(at: datetime) -> str:
    """Return a text that sorts before all ids that are made at `at` or later, and after all earlier ones."""
    return _milliseconds(at)


def made_at(dispatch_id: str) -> datetime | None:
    """Return the instant at which an id of `new_dispatch_id` was made, to the millisecond; None for another text."""
    try:
        return _EPOCH + int(dispatch_id[:12], 16) * _MILLISECOND
    except (ValueError, OverflowError):  # a damaged row
        return None


def _milliseconds(at: datetime) -> str:
    return f"{(at - _EPOCH) // _MILLISECOND:012x}"
