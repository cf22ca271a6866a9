"""Counts for the tabs of a list that is too large to be counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

MAX_COUNTED = 10_000
"""Counts stop here."""


def capped_counts(lists: Mapping[str, QuerySet[Any]]) -> dict[str, int]:
    """Return the number of rows in each of `lists`, up to `MAX_COUNTED` + 1, in one query."""
    found = dict.fromkeys(lists, 0)
    parts: list[tuple[str, str]] = []
    params: list[Any] = []
    for number, (name, rows) in enumerate(lists.items()):
        try:
            sql, given = rows.order_by().values("pk")[: MAX_COUNTED + 1].query.sql_with_params()
        except EmptyResultSet:
            continue
        parts.append((name, f"(SELECT COUNT(*) FROM ({sql}) AS part_{number})"))  # noqa: S608
        params += given
    if not parts:
        return found
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(sql for _, sql in parts)}", params)
        return found | dict(zip((name for name, _ in parts), cursor.fetchone(), strict=True))
