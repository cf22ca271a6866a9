"""Raw values of SQLite, and many rows in one statement."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.scheduler.store import bulk

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-29 12:00:00", NOON),
        ("2026-11-29 12:00:00.250000", NOON.replace(microsecond=250000)),
        ("2026-11-29 12:00", NOON),
        ("2026-11-29T12:00:00Z", NOON),
        ("2026-11-29 14:00:00+02:00", NOON),
        ("2026-11-29 14:00+02", NOON),
        ("2026-11-29 14:00:00.250+02", NOON.replace(microsecond=250000)),
        ("2026-11-29", NOON.replace(hour=0)),
    ],
)
def test_an_instant_is_read_in_any_form(text: str, instant: datetime) -> None:
    read = bulk.from_time(text)
    assert (read, read.utcoffset() is not None) == (instant, True)


@pytest.mark.parametrize(
    "text",
    ["", "x", "20261129120000", "20261129T12000", "2026-11-29 132", "2026-11-29 12:00:00.", "2026-11-29 25:00:00",
     "2026-11-29 12:00:00.12345605:30:10", "2026-11-29 12:00:00.12345x"],
)  # fmt: skip
def test_a_damaged_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        bulk.from_time(text)


def test_sqlite_searches_only_for_columns_that_a_row_has() -> None:
    source = bulk._each((("id", "number"), ("reason", "text"), ("error", "text")), frozenset({"id", "error"}))
    assert source == (
        "(SELECT value ->> 'id' AS id, NULL AS reason, value ->> 'error' AS error FROM json_each(%s)) AS v"
    )
