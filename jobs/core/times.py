"""Dates and times as people write them: one grammar for bodies, parameters and forms.

A time is `date`, or `date[T|t|blank]HH:MM[:SS[.f…]][Z|z|±HH[[:]MM]]` with one to nine digits of a second; digits
beyond microseconds are cut. That is RFC 3339, the local times of ISO 8601, and what databases and languages print.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

EXAMPLES = "2027-06-01, 2027-06-01 12:00:00 or 2027-06-01T12:00:00+02:00"
"""Examples for messages."""
FIRST_YEAR = 1970
"""The first year of valid times."""
LAST_LOCAL_DAY = date(9999, 12, 30)
"""The last day whose local times are instants in every zone: `datetime` ends with the year 9999."""

MICROSECOND = timedelta(microseconds=1)
"""The shortest time between two instants."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)


def parse_time(text: object) -> date | datetime:
    """Read a date or a time.

    Returns:
        A `datetime`, aware if the text has an offset; a `date` where the text has no time of day.

    Raises:
        ValueError: the text is neither, or lies before 1970; the message says what to write.
    """
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        if match is None:
            raise ValueError
        day = date.fromisoformat(match[1])
        value = day if match[2] is None else datetime.combine(day, _time_of_day(match), _offset(match))
    except ValueError:
        raise ValueError(f"must be a date or a time, such as {EXAMPLES}") from None
    if day.year < FIRST_YEAR:
        raise ValueError(f"must not lie before {FIRST_YEAR}")
    return value


def first_instant(value: date | datetime, zone: tzinfo) -> datetime:
    """Return the instant of a parsed time in UTC, the first one of a date's day.

    A time without an offset is a local time of `zone`. One that the clock skips is read with the offset from before the
    gap; one that comes twice is its first occurrence (PEP 495's fold=0, as RFC 5545, 3.3.5, has it).

    Raises:
        ValueError: the instant lies beyond the year 9999.
    """
    at = value if isinstance(value, datetime) else datetime.combine(value, time())
    try:
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise ValueError("must not lie after the year 9999") from None


def end_instant(value: date | datetime, zone: tzinfo) -> datetime:
    """Return the first instant after a date's day, or the instant of a parsed time, in UTC.

    An end after the year 9999 becomes the last instant: people write such ends for "for ever".
    """
    try:
        return first_instant(value if isinstance(value, datetime) else value + timedelta(days=1), zone)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)


def last_instant(value: date | datetime, zone: tzinfo) -> datetime:
    """Return the last instant of a date's day, or the instant of a parsed time, in UTC; see `end_instant`."""
    end = end_instant(value, zone)
    return end if isinstance(value, datetime) else end - MICROSECOND


def parse_instant(text: object, zone: tzinfo, *, end: bool = False) -> datetime:
    """Read an instant.

    Args:
        text: a date or a time; a local time of `zone` if it has no offset.
        zone: the zone of local times.
        end: whether a date stands for the end of its day, rather than for its first instant.

    Returns:
        The aware instant in UTC.

    Raises:
        ValueError: the text is neither a date nor a time, or lies before 1970 or at the very end of the year 9999.
    """
    value = parse_time(text)
    if isinstance(value, datetime) and value.tzinfo:
        return first_instant(value, zone)
    if (value.date() if isinstance(value, datetime) else value) > LAST_LOCAL_DAY:
        raise ValueError(f"must not lie after {LAST_LOCAL_DAY}")
    return end_instant(value, zone) if end else first_instant(value, zone)


def _time_of_day(match: re.Match[str]) -> time:
    microsecond = int(((match[5] or "") + "000000")[:6])
    return time(int(match[2]), int(match[3]), int(match[4] or 0), microsecond)


def _offset(match: re.Match[str]) -> tzinfo | None:
    if match[6]:
        return UTC
    if not match[7]:
        return None
    if int(match[9] or 0) > 59:
        raise ValueError
    ahead = timedelta(hours=int(match[8]), minutes=int(match[9] or 0))
    return timezone(-ahead if match[7] == "-" else ahead)
