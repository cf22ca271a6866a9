"""Whole numbers and unknown names are checked in one way everywhere."""

from __future__ import annotations

import pytest

from jobs.core.triggers import TRIGGER_FIELDS
from jobs.core.values import ELSEWHERE, MAX_UNKNOWN, did_you_mean, is_number, is_whole, unknown_names
from jobs.definitions.validation import WRITABLE_FIELDS


@pytest.mark.parametrize("value", [0, -1, 10**40])
def test_a_whole_number_is_whole(value: object) -> None:
    assert is_whole(value)
    assert is_number(value)


@pytest.mark.parametrize("value", [True, False, None, "1", [1]])
def test_other_json_values_are_no_numbers(value: object) -> None:
    assert not is_whole(value)
    assert not is_number(value)


def test_a_fraction_is_a_number_and_not_whole() -> None:
    assert is_number(1.5, 1, 2)
    assert not is_whole(1.0)


@pytest.mark.parametrize(("value", "inside"), [(1, True), (3, True), (0, False), (4, False)])
def test_both_bounds_are_inside(value: int, inside: bool) -> None:
    assert is_whole(value, 1, 3) is inside
    assert is_number(value, 1, 3) is inside


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("secnds", ["minutes", "seconds"]) == "; did you mean 'seconds'?"
    assert did_you_mean("colour", ["minutes", "seconds"]) == ""


def test_unknown_names_get_a_suggestion_or_the_list_of_known_ones() -> None:
    assert unknown_names(["a", "limt", "xyz"], ["limit", "a"], what="parameter") == {
        "limt": "unknown parameter; did you mean 'limit'?",
        "xyz": "unknown parameter; the parameters here are limit, a",
    }
    assert unknown_names(["a"], []) == {"a": "unknown field; no field is needed here"}


def test_thousands_of_unknown_names_are_not_all_compared() -> None:
    assert len(unknown_names(map(str, range(5000)), ["limit"])) == MAX_UNKNOWN


def test_a_name_that_utf_8_cannot_hold_is_shown_escaped() -> None:
    assert list(unknown_names(["\ud800" + "x" * 100], [])) == ["\\ud800" + "x" * 63]


@pytest.mark.parametrize("name", ["max-instances", "MAX_INSTANCES", "maxInstances", "MaxInstances", "max instances"])
def test_a_name_in_another_style_is_known(name: str) -> None:
    assert did_you_mean(name, WRITABLE_FIELDS, likely=TRIGGER_FIELDS["cron"]) == "; did you mean 'max_instances'?"


@pytest.mark.parametrize("name", ["day_of_year", "doy", "nth", "delay", "week_of_month"])
def test_a_name_without_a_counterpart_gets_no_suggestion(name: str) -> None:
    assert did_you_mean(name, TRIGGER_FIELDS["cron"]) == did_you_mean(name, TRIGGER_FIELDS["interval"]) == ""


@pytest.mark.parametrize(
    ("name", "kind", "here"),
    [
        *(("hour_of_day", "cron", "hour"), ("days_of_month", "cron", "day"), ("HOUR", "cron", "hour")),
        *(("from", "interval", "start_date"), ("time", "date", "run_date"), ("spec", "cron", "crontab")),
        *(("day_of_month", "cron", "day"), ("dom", "cron", "day"), ("month_of_year", "cron", "month")),
        *(("dow", "cron", "day_of_week"), ("weekday", "cron", "day_of_week"), ("cron", "cron", "crontab")),
        *(("cron_expression", "cron", "crontab"), ("tz", "cron", "timezone"), ("time_zone", "interval", "timezone")),
        *(("min", "cron", "minute"), ("min", "interval", "minutes"), ("secs", "interval", "seconds")),
        *(("sec", "cron", "second"), ("every", "interval", "seconds"), ("run_at", "date", "run_date")),
        *(("eta", "date", "run_date"), ("clocked", "date", "run_date"), ("until", "interval", "end_date")),
        *(("endTime", "cron", "end_date"), ("expires", "cron", "end_date"), ("splay", "interval", "jitter")),
        *(("dayofmonth", "cron", "day"), ("dayOfMonth", "cron", "day"), ("dayofweek", "cron", "day_of_week")),
        *(("monthofyear", "cron", "month"), ("jitter_seconds", "cron", "jitter"), ("timeZone", "cron", "timezone")),
        *(("when", "date", "run_date"), ("scheduledAt", "date", "run_date"), ("timestamp", "date", "run_date")),
        *(("day-of-month", "cron", "day"), ("DOW", "cron", "day_of_week"), ("minut", "cron", "minute")),
    ],
)
def test_names_of_other_schedulers_are_known(name: str, kind: str, here: str) -> None:
    fields = [field for fields in TRIGGER_FIELDS.values() for field in fields]
    expected = f"; did you mean {here!r}?" if here else ""
    assert did_you_mean(name, fields, likely=TRIGGER_FIELDS[kind]) == expected
    assert did_you_mean(name, TRIGGER_FIELDS[kind]) == expected


def test_what_a_name_means_elsewhere_has_to_exist() -> None:
    for names in ELSEWHERE.values():
        assert set(names) <= set(WRITABLE_FIELDS)


def test_no_name_of_ours_is_taken_for_another() -> None:
    assert not ELSEWHERE.keys() & set(WRITABLE_FIELDS)
