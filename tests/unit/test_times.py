"""Dates and times: one grammar, parsed strictly, and their instants."""

# ruff: noqa: DTZ001 - local times are what is read

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.times import first_instant, last_instant, parse_instant, parse_time

BERLIN, CAIRO, NEW_YORK, TOKYO = map(ZoneInfo, ("Europe/Berlin", "Africa/Cairo", "America/New_York", "Asia/Tokyo"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2031-06-01", date(2031, 6, 1)),
        ("2031-06-01 10:00", datetime(2031, 6, 1, 10)),
        ("2031-06-01T10:00:05", datetime(2031, 6, 1, 10, 0, 5)),
        ("2031-06-01t10:00:05z", datetime(2031, 6, 1, 10, 0, 5, tzinfo=UTC)),
        ("2031-06-01T10:00:00.1234567Z", datetime(2031, 6, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2031-06-01T10:00:00.000000000Z", datetime(2031, 6, 1, 10, tzinfo=UTC)),
        ("2031-06-01T10:00:00.999999999Z", datetime(2031, 6, 1, 10, 0, 0, 999999, tzinfo=UTC)),
        ("2031-06-01 10:00:00.5", datetime(2031, 6, 1, 10, 0, 0, 500000)),
        ("2031-06-01 10:00:00+00", datetime(2031, 6, 1, 10, tzinfo=UTC)),
        ("2031-06-01 10:00Z", datetime(2031, 6, 1, 10, tzinfo=UTC)),
        ("2031-06-01T10:00:00-03", datetime(2031, 6, 1, 10, tzinfo=timezone(-timedelta(hours=3)))),
        ("2031-06-01T10:00:00+0530", datetime(2031, 6, 1, 10, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        ("2031-06-01T10:00:00-09:30", datetime(2031, 6, 1, 10, tzinfo=timezone(-timedelta(hours=9, minutes=30)))),
    ],
)
def test_a_time_is_read(text: str, value: date | datetime) -> None:
    read = parse_time(text)
    assert (type(read), read) == (type(value), value)
    assert getattr(read, "tzinfo", None) == getattr(value, "tzinfo", None)


@pytest.mark.parametrize(
    "text",
    [
        *("2031-W22-1", "2031W221", "2031-W22-1T10:00:00Z", "2031-152", "20310601", "20310601T100000Z", "2031-06"),
        *("2031-06-01T", "2031-06-01T10", "2031-06-01T1000", "2031-06-01T10:0", "2031-06-01T10:00:5", "2031-6-1"),
        *("2031-06-01T10:00:00.", "2031-06-01T10:00:00.1234567890Z", "2031-06-01T10:00:00,5Z", "2031-06-01T10:00.5"),
        *("2031-06-01T24:00:00", "2031-06-01T10:60:00", "2031-06-01T10:00:60Z", "2031-02-29", "2031-13-01"),
        *("2031-06-01T10:00:00+24", "2031-06-01T10:00:00+25:00", "2031-06-01T10:00:00+05:60", "2031-06-01T10:00:00+5"),
        *("2031-06-01T10:00:00+05:30:15", "2031-06-01T10:00:00 +05:30", "2031-06-01T10:00:00ZZ", "2031-06-01Z"),
        *(
            "2031-06-01_10:00",
            "2031-06-01  10:00",
            " 2031-06-01",
            "2031-06-01\n",
            "٢٠٣١-06-01",
            "",
            "now",
            "12031-06-01",
        ),
        *("0000-01-01", "1930000000", None, 5, True, date(2031, 6, 1), datetime(2031, 6, 1), [], b"2031-06-01"),
    ],
)
def test_other_texts_are_refused_with_what_to_write(text: object) -> None:
    with pytest.raises(ValueError, match="such as 2027-06-01, 2027-06-01 12:00:00 or 2027-06-01T12:00:00"):
        parse_time(text)


@given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{0,10})?)?([Zz]|[+-]\d\d(:?\d\d)?)?"))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    for zone in (NEW_YORK, TOKYO, UTC):
        try:
            at = parse_instant(text, zone)
        except ValueError:
            continue
        assert at.tzinfo is UTC
        assert at > datetime(1969, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", [NEW_YORK, TOKYO, UTC])
@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "1969-12-31", "9999-12-31T23:00:00",
             "9999-12-31T23:00:00-10:00", "9999-12-31"],
)  # fmt: skip
def test_instants_at_both_ends_of_the_calendar_are_refused(text: str, zone: ZoneInfo) -> None:
    with pytest.raises(ValueError, match="must not lie"):
        parse_instant(text, zone)


def test_an_instant_in_utc_may_be_the_last_one() -> None:
    assert parse_instant("9999-12-31T23:59:59Z", TOKYO) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_time_without_an_offset_is_local() -> None:
    assert parse_instant("2027-06-01 10:00", BERLIN) == datetime(2027, 6, 1, 8, tzinfo=UTC)
    assert parse_instant("2027-06-01 10:00+00", BERLIN) == datetime(2027, 6, 1, 10, tzinfo=UTC)


def test_a_skipped_time_has_the_offset_from_before_and_a_repeated_one_is_its_first() -> None:
    assert parse_instant("2027-03-28 02:30", BERLIN) == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert parse_instant("2027-10-31 02:30", BERLIN) == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_a_date_is_its_first_instant_or_the_end_of_its_day() -> None:
    day = date(2027, 3, 28)  # of 23 hours
    assert first_instant(day, BERLIN) == datetime(2027, 3, 27, 23, tzinfo=UTC)
    assert last_instant(day, BERLIN) == datetime(2027, 3, 28, 21, 59, 59, 999999, tzinfo=UTC)
    assert parse_instant("2027-03-28", BERLIN, end=True) == datetime(2027, 3, 28, 22, tzinfo=UTC)


def test_a_day_without_midnight_starts_and_ends_with_its_clock() -> None:
    day = date(2027, 4, 30)  # starts at 01:00
    assert first_instant(day, CAIRO) == datetime(2027, 4, 29, 22, tzinfo=UTC)
    assert last_instant(day - timedelta(days=1), CAIRO) == datetime(2027, 4, 29, 21, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.parametrize("zone", [NEW_YORK, TOKYO, UTC])
def test_an_end_beyond_the_calendar_is_for_ever(zone: ZoneInfo) -> None:
    assert last_instant(date(9999, 12, 31), zone) >= datetime(9999, 12, 31, 14, 59, tzinfo=UTC)
    assert last_instant(datetime(9999, 12, 31, 23, 59, 59), zone) >= datetime(9999, 12, 31, 14, 59, tzinfo=UTC)
