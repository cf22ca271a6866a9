"""Pages of runs, and of the audit, by cursor: the thousandth costs as little as the first."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from ..core.times import MICROSECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant from which cursors count microseconds."""
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
    source: QuerySet[Any],
    fields: Sequence[str],
    cursor: Cursor | None,
    limit: int,
    *,
    time: str = "scheduled_time",
    parts: Sequence[QuerySet[Any]] = (),
    glance: int = 0,
) -> Page:
    """Return a page of `limit` rows at `cursor`, with the values of `fields`, which include "id" and the field `time`.

    One row more than the page has is read, to know without a count whether there is another page. `parts` are disjoint
    querysets whose rows make up the list, each in the order of an index: only the first rows of each are read. Without
    `parts`, all rows of `source` make up the list. The page is first looked for among the next `glance` rows of the
    table, in case that these are enough.
    """
    backward = cursor is not None and cursor.newer
    order = (time, "id") if backward else (f"-{time}", "-id")

    def first(parts: Sequence[QuerySet[Any]], number: int) -> Q:
        return Q(pk__in=_first_of([_beyond(part, cursor, time) for part in parts], order, number))

    rows = source.filter(first(parts, limit + 1)) if parts else _beyond(source, cursor, time)
    rows = rows.order_by(*order)
    found: list[tuple[Any, ...]] = []
    if glance:
        next_rows = first([source.model._base_manager.all()], glance)
        found = list(rows.filter(next_rows).values_list(*fields)[: limit + 1])
    if len(found) <= limit:
        found = list(rows.values_list(*fields)[: limit + 1])
    shown = found[:limit]
    if backward:
        shown.reverse()
    places = [(row[fields.index(time)], row[fields.index("id")]) for row in shown]
    return _page(shown, [place for place in places if place[0] is not None], cursor, more=len(found) > limit)


def all_rows(
    source: QuerySet[Any], fields: Sequence[str], part: int, *, time: str = "scheduled_time"
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield all rows of `source`, newest first, `part` at a time. The arguments are those of `page_of`."""
    cursor: Cursor | None = None
    while True:
        page = page_of(source, fields, cursor, part, time=time)
        yield page.rows
        if (cursor := page.older) is None:
            return


def _page(
    rows: list[tuple[Any, ...]], places: Sequence[tuple[datetime, int]], cursor: Cursor | None, *, more: bool
) -> Page:
    if not places:  # no rows, or only damaged ones of SQLite, which come before all others or after them
        return Page(rows, FIRST if more and cursor is None else None, None)
    backward = cursor is not None and cursor.newer
    older = Cursor(False, *places[-1]) if backward or more else None
    newer = Cursor(True, *places[0]) if (more if backward else cursor) else None
    return Page(rows, older, newer)


def _first_of(parts: Sequence[QuerySet[Any]], order: Sequence[str], limit: int) -> RawSQL:
    """Return SQL of the ids of the first rows of each part. SQLite takes no limit within a plain UNION."""
    found = ["SELECT 0 WHERE false"]
    params: list[Any] = []
    for number, part in enumerate(parts):
        with suppress(EmptyResultSet):
            sql, given = part.order_by(*order).values("id")[:limit].query.sql_with_params()
            found.append(f"SELECT id FROM ({sql}) AS part_{number}")  # noqa: S608
            params += given
    return RawSQL(" UNION ALL ".join(found), params)  # noqa: S611


def _beyond(rows: QuerySet[Any], cursor: Cursor | None, time: str) -> QuerySet[Any]:
    # The first condition alone bounds the walk over the index; the second sorts out the rows of the same instant.
    if cursor is None:
        return rows
    beyond = "gt" if cursor.newer else "lt"
    same_or_beyond, is_beyond = Q(**{f"{time}__{beyond}e": cursor.time}), Q(**{f"{time}__{beyond}": cursor.time})
    return rows.filter(same_or_beyond & (is_beyond | Q(**{f"id__{beyond}": cursor.id})))
