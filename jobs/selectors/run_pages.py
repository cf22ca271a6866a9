"""Pages of runs, and of the audit, by cursor: the thousandth costs as little as the first."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant from which cursors count."""
MICROSECOND = timedelta(microseconds=1)
"""The unit in which cursors count."""
CURSOR = re.compile(r"([on])(-?\d{1,18})_(\d{1,18})", re.ASCII)
"""The form of a cursor."""


class Cursor(NamedTuple):
    """A position in a list, newest first: just after the row of this time and id, or just before it (`newer`)."""

    newer: bool
    time: datetime
    id: int

    def __str__(self) -> str:
        """Return the text that `read_cursor` reads."""
        micros = (self.time - EPOCH) // MICROSECOND
        text = f"{'n' if self.newer else 'o'}{micros}_{self.id}"
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(value: str) -> Cursor:
    """Read the cursor of a link. Raises `ValueError` for any other text."""
    try:
        text = urlsafe_b64decode(value.encode() + b"=" * (-len(value) % 4)).decode("ascii")
        match = CURSOR.fullmatch(text)
        if match is None:
            raise ValueError
        return Cursor(match[1] == "n", EPOCH + int(match[2]) * MICROSECOND, int(match[3]))
    except (ValueError, OverflowError):
        raise ValueError("is not a cursor; take the addresses of 'next' and 'previous' as they are") from None


FIRST = Cursor(False, datetime.max.replace(tzinfo=UTC), 0)
"""The position before all rows."""


class Page(NamedTuple):
    """Rows, newest first, and the cursors of the pages on either side, None without one."""

    rows: list[tuple[Any, ...]]
    older: Cursor | None
    newer: Cursor | None


def page_of(
    source: QuerySet[Any], fields: Sequence[str], cursor: Cursor | None, limit: int, *, time: str = "scheduled_time"
) -> Page:
    """Return a page of `limit` rows at `cursor`, with the values of `fields`, which include "id" and the field `time`.

    One row more than the page has is read, to know without a count whether there is another page.
    """
    backward = cursor is not None and cursor.newer
    order = (time, "id") if backward else (f"-{time}", "-id")
    found = list(_beyond(source, cursor, time).order_by(*order).values_list(*fields)[: limit + 1])
    rows, more = found[:limit], len(found) > limit
    if backward:
        rows.reverse()
    at, row_id = fields.index(time), fields.index("id")
    places = [(row[at], row[row_id]) for row in rows if row[at] is not None]
    if not places:  # no rows, or only damaged ones of SQLite, which come before all others or after them
        return Page(rows, FIRST if more and cursor is None else None, None)
    older = Cursor(False, *places[-1]) if backward or more else None
    newer = Cursor(True, *places[0]) if (more if backward else cursor) else None
    return Page(rows, older, newer)


def _beyond(rows: QuerySet[Any], cursor: Cursor | None, time: str) -> QuerySet[Any]:
    # The first condition alone bounds the walk over the index; the second sorts out the rows of the same instant.
    if cursor is None:
        return rows
    beyond = "gt" if cursor.newer else "lt"
    same_or_beyond, is_beyond = Q(**{f"{time}__{beyond}e": cursor.time}), Q(**{f"{time}__{beyond}": cursor.time})
    return rows.filter(same_or_beyond & (is_beyond | Q(**{f"id__{beyond}": cursor.id})))
