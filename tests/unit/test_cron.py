"""Cron expressions: fields, days and changes of the clock. `test_cron_oracles` compares at large."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from jobs.core.triggers.cron import Schedule, to_seconds
from jobs.core.triggers.grammar import parse_field, parse_fields

from .cron_support import crontab, times, utc


def fields(zone: str = "UTC", **given: str) -> Schedule:
    return Schedule(*parse_fields(given), ZoneInfo(zone))


# Grammar


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("minute", "*/20", [0, 20, 40]),
        ("minute", "5-11/3, 7", [5, 7, 8, 11]),
        ("hour", "22/1", [22, 23]),
        ("day", "*/10", [1, 11, 21, 31]),
        ("month", "Jan-MAR,dec", [1, 2, 3, 12]),
        ("day_of_week", "mon-fri", [0, 1, 2, 3, 4]),
        ("day_of_week", "6", [6]),
        ("year", "2027-2029", [2027, 2028, 2029]),
    ],
)
def test_a_field_names_its_values(name: str, text: str, values: list[int]) -> None:
    terms = parse_field(name, text)
    assert sorted({value for term in terms if isinstance(term, range) for value in term}) == values


def test_the_day_field_takes_days_by_name() -> None:
    assert parse_field("day", "last,3rd FRI, last  sun") == ("last", "3rd fri", "last sun")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hour": "9"}, "2027-01-01T09:00Z"),
        ({"minute": "30"}, "2027-01-01T00:30Z"),
        ({"second": "5"}, "2027-01-01T00:00:05Z"),
        ({"month": "6"}, "2027-06-01T00:00Z"),
        ({"year": "2030"}, "2030-01-01T00:00Z"),
        ({"week": "2"}, "2027-01-11T00:00Z"),
        ({"day_of_week": "sun"}, "2027-01-03T00:00Z"),
        ({"month": "6", "second": "10"}, "2027-06-01T00:00:10Z"),
    ],
)
def test_fields_not_given_have_apschedulers_defaults(given: dict[str, str], expected: str) -> None:
    assert times(fields(**given), utc("2027-01-01T00:00Z"), 1) == [utc(expected)]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [("minute", "*/90", [0]), ("minute", "10-10/4", [10]), ("hour", "5-20/100", [5]), ("minute", "0007", [7])],
)
def test_a_step_may_be_longer_than_its_range(name: str, text: str, values: list[int]) -> None:
    assert [value for term in parse_field(name, text) for value in term] == values


# Days


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 L * *", ["2027-01-31", "2027-02-28", "2027-03-31"]),
        ("0 0 LW * *", ["2027-01-29", "2027-02-26", "2027-03-31"]),
        ("0 0 * * 5L", ["2027-01-29", "2027-02-26", "2027-03-26"]),
        ("0 0 * * FRI#3", ["2027-01-15", "2027-02-19", "2027-03-19"]),
        ("0 0 * * 7#5", ["2027-01-31", "2027-05-30", "2027-08-29"]),
        ("0 0 13 * 5", ["2027-01-01", "2027-01-08", "2027-01-13"]),
        ("0 0 */13 * 5", ["2027-01-01", "2027-05-14", "2027-08-27"]),
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 29 2 */7", ["2032-02-29", "2060-02-29", "2088-02-29"]),
    ],
)
def test_crontab_days(text: str, expected: list[str]) -> None:
    assert [str(time.date()) for time in times(crontab(text), utc("2026-12-31T23:00Z"), 3)] == expected


def test_every_kind_of_year_has_its_own_weeks() -> None:
    schedule = fields(week="52,53", day_of_week="mon,sun", month="jan,dec")
    days = {time.date() for time in times(schedule, utc("1999-12-31T23:00Z"), 1000)}
    first, last = date(2000, 1, 1).toordinal(), max(days).toordinal()
    every = [date.fromordinal(day) for day in range(first, last + 1)]
    wanted = {day for day in every if day.isocalendar().week > 51 and day.weekday() in (0, 6)}
    assert days == wanted


@pytest.mark.parametrize(
    "given",
    [
        {"month": "2", "day": "30"},
        {"month": "4,6,9,11", "day": "31"},
        {"week": "53", "month": "2-11"},
        {"week": "10", "month": "jul", "day_of_week": "sun"},
        {"day": "5th mon", "month": "2", "week": "1"},
        {"year": "1999"},
        {"year": "2027-9999/2", "month": "2", "day": "29"},
        {"day": "last", "month": "4,6,9,11", "week": "9"},
    ],
)
def test_times_that_never_come_are_found_out(given: dict[str, str]) -> None:
    assert fields(**given).first(to_seconds(utc("2027-01-01T00:00Z"))) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"year": "9999", "month": "12", "day": "31", "hour": "23"}, "9999-12-31T23:00Z"),
        ({"day": "29", "month": "2", "day_of_week": "mon"}, "2044-02-29T00:00Z"),
        ({"day": "5th mon", "month": "feb"}, "2044-02-29T00:00Z"),
        ({"week": "53", "day_of_week": "sun", "month": "jan", "day": "3"}, "2027-01-03T00:00Z"),
    ],
)
def test_times_that_come_seldom_are_found(given: dict[str, str], expected: str) -> None:
    assert times(fields(**given), utc("2027-01-01T00:00Z"), 1) == [utc(expected)]


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_the_calendar_ends_without_an_error(zone: str) -> None:
    schedule = crontab("* * * * *", zone)
    end = to_seconds(utc("9999-12-31T23:59:59Z"))
    assert schedule.first(end) is None
    assert schedule.last(end) is not None
    assert schedule.count(end - 86_399, end + 1) > 0


# Changes of the clock


def test_what_a_gap_skips_runs_once_together() -> None:
    schedule = crontab("0,15,30 2,3 * * *", "Europe/Berlin")
    assert times(schedule, utc("2027-03-27T23:00Z"), 2) == [utc("2027-03-28T01:00Z"), utc("2027-03-28T01:15Z")]


def test_seconds_follow_the_same_rule() -> None:
    schedule = fields("Europe/Berlin", hour="2", minute="30", second="*/30")
    expected = [utc("2027-03-28T01:00Z"), utc("2027-03-29T00:30Z"), utc("2027-03-29T00:30:30Z")]
    assert times(schedule, utc("2027-03-27T23:00Z"), 3) == expected


def test_a_day_that_starts_at_one_runs_its_midnight_then() -> None:
    assert times(crontab("0 0 * * *", "Africa/Cairo"), utc("2027-04-29T00:00Z"), 1) == [utc("2027-04-29T22:00Z")]


def test_a_day_that_is_skipped_runs_once_after_it() -> None:
    schedule = crontab("0 9,17 30 12 *", "Pacific/Apia")
    assert times(schedule, utc("2011-12-01T00:00Z"), 2) == [utc("2011-12-30T10:00Z"), utc("2012-12-29T19:00Z")]


def test_a_star_runs_in_both_repeated_hours() -> None:
    schedule = crontab("*/30 2 * * *", "Europe/Berlin")
    expected = [utc(f"2027-10-31T{time}Z") for time in ("00:00", "00:30", "01:00", "01:30")]
    assert times(schedule, utc("2027-10-30T12:00Z"), 4) == expected


def test_a_last_year_ends_with_its_second_repetition() -> None:
    # Clocks went back on New Year's Eve; both of the last hours are in that year.
    schedule = fields("America/Danmarkshavn", year="1996", minute="*/30")
    assert schedule.last(to_seconds(utc("1997-06-01T00:00Z"))) == to_seconds(utc("1996-12-31T23:30Z"))
