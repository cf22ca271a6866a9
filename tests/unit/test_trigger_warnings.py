"""Warnings about valid triggers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from jobs.core.triggers import Trigger, build_trigger, warnings_of
from jobs.core.warnings import JobWarning, WarningCode
from tests.conftest import examples

from .test_trigger_properties import definitions, instants

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def build(kind: str, **fields: object) -> Trigger:
    return build_trigger({"type": kind, **fields}, anchor=NOW, default_timezone="UTC")


def warnings(kind: str, *, now: datetime = NOW, **fields: object) -> dict[str, str]:
    return {code.value: message for code, message in warnings_of(build(kind, **fields), now=now)}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("cron", {"crontab": "30 4 * * 1-5"}),
        ("cron", {"crontab": "*/15 * * * *"}),
        ("cron", {"crontab": "0 */6 * * *"}),
        ("cron", {"crontab": "0 */24 * * *"}),
        ("cron", {"crontab": "0 0 1 */12 *"}),
        ("cron", {"crontab": "0 0 * * */7"}),
        ("cron", {"crontab": "0 7 */100,1-7 * MON"}),
        ("cron", {"crontab": "0 0 28 * *"}),
        ("cron", {"crontab": "0 0 31 1,3,5 *"}),
        ("cron", {"crontab": "0 0 L * *"}),
        ("cron", {"crontab": "0,30 9-17 * * *", "timezone": BERLIN}),
        ("cron", {"crontab": "*/30 * * * *", "timezone": BERLIN}),
        ("cron", {"crontab": "0 2 * * 1", "timezone": BERLIN}),
        ("cron", {"hour": 9, "jitter": 60}),
        ("cron", {"day": "last sun"}),
        ("interval", {"minutes": 5}),
        ("interval", {"hours": 24}),
        ("interval", {"hours": 12, "timezone": BERLIN}),
        ("date", {"run_date": "2027-03-28 03:00", "timezone": BERLIN}),
        ("date", {"run_date": "2027-03-28T01:30Z", "timezone": BERLIN}),
        ("calendarinterval", {"weeks": 2, "hour": 9}),
        ("calendarinterval", {"months": 6, "start_date": "2027-01-31"}),
        ("calendarinterval", {"months": 1, "days": 1, "start_date": "2027-01-31"}),
    ],
)
def test_a_trigger_that_does_what_it_seems_to_gives_none(kind: str, fields: dict[str, Any]) -> None:
    assert warnings(kind, **fields) == {}


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("cron", {"crontab": "* * * * *"}, "Fires 60 times an hour."),
        ("cron", {"crontab": "* 9 * * *"}, "Fires 60 times an hour; for once an hour, give the minute, such as 0."),
        ("cron", {"second": "*"}, "Fires 3,600 times an hour."),
        ("cron", {"hour": 9, "minute": "*", "jitter": 10}, "for once an hour"),
        ("interval", {"seconds": 5}, "Fires 720 times an hour."),
    ],
)
def test_it_fires_often(kind: str, fields: dict[str, Any], words: str) -> None:
    assert words in warnings(kind, **fields)["too_often"]


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (
            "cron",
            {"crontab": "0 0 31 * *"},
            "5 months of the year, without a 31st: February, April, June, September, Nov",
        ),
        ("cron", {"crontab": "0 0 30,31 * *"}, "1 month of the year, without a 30th: February."),
        ("cron", {"crontab": "0 0 31 1-4 *"}, "2 months of the year, without a 31st: February and April."),
        ("cron", {"crontab": "0 0 29 2 *"}, "Fires in February only in leap years."),
        ("cron", {"crontab": "0 0 29 * *"}, "Fires in February only in leap years."),
        ("cron", {"crontab": "0 0 * * FRI#5"}, "such a weekday five times"),
        ("cron", {"day": 31, "day_of_week": "fri"}, "5 months of the year"),
        ("cron", {"day": "5th mon"}, "such a weekday five times"),
        ("calendarinterval", {"months": 1, "start_date": "2027-01-31"}, "5 months of the year"),
        ("calendarinterval", {"years": 1, "start_date": "2028-02-29"}, "only in leap years"),
        ("calendarinterval", {"months": 24, "start_date": "2028-02-29"}, "only in leap years"),
    ],
)
def test_some_months_have_no_such_day(kind: str, fields: dict[str, Any], words: str) -> None:
    assert words in warnings(kind, **fields)["missing_months"]


def test_day_or_weekday() -> None:
    message = warnings("cron", crontab="0 0 13 * 5")["day_or_weekday"]
    assert message.startswith("Fires on the 13th of the month or on a Friday: one of the two is enough")
    assert "the fields day and day_of_week" in message
    assert warnings("cron", day=13, day_of_week="fri") == {}


@pytest.mark.parametrize("crontab", ["0 0 13 * 0-6", "0 0 13 * 1-7", "0 0 1-31 * 5", "0 0 1-31 2 5"])
def test_day_or_weekday_where_one_of_them_is_any(crontab: str) -> None:
    message = warnings("cron", crontab=crontab)["day_or_weekday"]
    assert message.startswith("Fires every day: the day of the month or the weekday is enough")


def test_a_day_that_its_months_do_not_have_is_no_alternative() -> None:
    assert warnings("cron", crontab="0 0 31 2 1") == {}
    assert "on the 1st of the month or on" in warnings("cron", crontab="0 0 1,31 2 1")["day_or_weekday"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"crontab": "*/90 * * * *"},
            "leaves minute 0 alone in each hour. For every 90 minutes use the trigger interval",
        ),
        ({"minute": "*/90"}, "For every 90 minutes use the trigger interval"),
        ({"crontab": "5-20/30 * * * *"}, "leaves minute 5 alone"),
        ({"crontab": "0 1-1/4 * * *"}, "leaves hour 1 alone in each day"),
        ({"crontab": "0 */36 * * *"}, 'For every 36 hours use the trigger interval with "hours": 36.'),
        ({"crontab": "0 0 */45 * *"}, 'For every 45 days use the trigger calendarinterval with "days": 45.'),
        ({"crontab": "0 0 1 */18 *"}, 'For every 18 months use the trigger calendarinterval with "months": 18.'),
        ({"crontab": "0 0 * * */10"}, "leaves weekday 0 alone in each week"),
        ({"second": "*/90"}, 'For every 90 seconds use the trigger interval with "seconds": 90.'),
        ({"day_of_week": "*/10"}, "leaves day of week 0 alone"),
    ],
)
def test_a_step_is_longer_than_its_range(fields: dict[str, Any], words: str) -> None:
    assert words in warnings("cron", **fields)["long_step"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"crontab": "*/45 * * * *"}, "A step of 45 starts again in each hour: minute 0 follows 45."),
        ({"crontab": "0 */5 * * *"}, "hour 0 follows 20"),
        ({"crontab": "0 0 */2 * *"}, "day 1 follows 31"),
        ({"crontab": "0 0 * * */2"}, "weekday 0 follows 6"),
        ({"crontab": "0 0 * * 1-7/3"}, "weekday 1 follows 7"),
        ({"crontab": "0 0 1 */5 *"}, "month 1 follows 11"),
        ({"minute": "*/7"}, "minute 0 follows 56"),
        ({"second": "*/7"}, "second 0 follows 56"),
    ],
)
def test_a_step_does_not_go_on_evenly(fields: dict[str, Any], words: str) -> None:
    assert words in warnings("cron", **fields)["uneven_step"]


def test_no_step_is_recommended_that_is_refused() -> None:
    for crontab in ("*/999999999 * * * *", "0 */999999 * * *", "0 0 */99999 * *", "0 0 1 */1201 *"):
        assert "use the trigger" not in warnings("cron", crontab=crontab)["long_step"]


def test_a_step_that_is_not_gone_on_with_is_even() -> None:
    assert "uneven_step" not in warnings("cron", crontab="*/45 9 * * *")
    assert "uneven_step" not in warnings("cron", crontab="0 */5 * * 1")
    assert "uneven_step" not in warnings("cron", crontab="0-40/20 * * * *")


@pytest.mark.parametrize(
    ("kind", "fields", "skipped", "repeated"),
    [
        (
            "cron",
            {"crontab": "30 2 * * *"},
            "skips 02:30 on 2027-03-28 (Europe/Berlin): it fires at 03:00 instead.",
            "shows 02:30 twice on 2027-10-31 (Europe/Berlin): it fires the first time only.",
        ),
        (
            "cron",
            {"crontab": "0,30 2 * * *"},
            "skips 2 fire times from 02:00 on 2027-03-28 (Europe/Berlin): it fires once for them, at 03:00.",
            "shows 2 fire times from 02:00 twice",
        ),
        ("cron", {"crontab": "0 */2 * * *"}, "it does not fire then.", "it fires both times."),
        ("cron", {"crontab": "30 2 * * 0"}, "it fires at 03:00 instead.", "it fires the first time only."),
        ("cron", {"hour": 2, "minute": 30, "jitter": 5}, "it fires at 03:00 instead.", "the first time only."),
        ("calendarinterval", {"days": 1, "hour": 2}, "skips 02:00", "shows 02:00 twice"),
    ],
)
def test_the_clock_skips_and_repeats_fire_times(kind: str, fields: dict[str, Any], skipped: str, repeated: str) -> None:
    found = warnings(kind, timezone=BERLIN, **fields)
    assert skipped in found["skipped_by_clock"]
    assert repeated in found["repeated_by_clock"]


def test_changes_outside_of_the_window_do_not_count() -> None:
    fields = {"crontab": "30 2 * * *", "timezone": BERLIN}
    assert list(warnings("cron", **fields, end_date="2027-06-01")) == ["skipped_by_clock"]
    assert list(warnings("cron", **fields, start_date="2027-06-01")) == ["repeated_by_clock"]
    assert warnings("cron", **fields, end_date="2027-03-27") == {}


def test_changes_of_unusual_size_are_told_as_they_are() -> None:
    found = warnings("cron", crontab="10 2 * * *", timezone="Australia/Lord_Howe")
    assert "skips 02:10 on 2027-10-03 (Australia/Lord_Howe): it fires at 02:30 instead" in found["skipped_by_clock"]
    found = warnings("cron", crontab="0 9 30 12 *", timezone="Pacific/Apia", now=datetime(2011, 12, 1, tzinfo=UTC))
    assert "skips 09:00 on 2011-12-30 (Pacific/Apia): it fires at 00:00 instead" in found["skipped_by_clock"]


def test_a_date_may_be_skipped_or_repeated() -> None:
    found = warnings("date", run_date="2027-03-28 02:30", timezone=BERLIN)
    assert found == {"skipped_by_clock": "The clock skips 02:30 on 2027-03-28 (Europe/Berlin): it fires at 03:30."}
    found = warnings("date", run_date="2027-10-31 02:30", timezone=BERLIN)
    assert "it fires the first time" in found["repeated_by_clock"]


def test_an_interval_of_whole_days_moves_with_the_clock() -> None:
    message = warnings("interval", days=1, timezone=BERLIN)["moved_by_clock"]
    assert "the clock changes on 2027-03-28 (Europe/Berlin), and its local time moves by 1 hour." in message
    assert warnings("interval", days=1, timezone=BERLIN, end_date="2027-03-27") == {}


# Usual durations


def overlap(trigger: Trigger, duration: float, **options: Any) -> str:
    found = dict(warnings_of(trigger, now=NOW, usual_duration=duration, **options))
    return found.get(WarningCode.OVERLAP, "")


def test_runs_that_take_longer_than_the_time_between_them_overlap() -> None:
    trigger = build("interval", minutes=5)
    words = "A run usually takes 12 minutes, and fire times are as near as 5 minutes: they overlap."
    assert overlap(trigger, 720) == words
    assert overlap(trigger, 300) == ""
    assert "and 2 may be active at a time" in overlap(trigger, 720, max_instances=2)
    assert overlap(trigger, 720, max_instances=3) == ""


def test_the_shortest_time_between_fire_times_counts() -> None:
    assert "as near as 10 minutes" in overlap(build("cron", crontab="0,10 9 * * *"), 3600)
    assert "as near as 1 second" in overlap(build("interval", seconds=1), 2)


def test_what_fires_once_more_does_not_overlap() -> None:
    assert overlap(build("date", run_date="2027-06-01"), 10**9) == ""


@settings(deadline=None, max_examples=examples(100))
@given(definitions, instants)
def test_every_trigger_has_warnings_at_any_time(definition: dict[str, Any], now: datetime) -> None:
    trigger = build_trigger(definition, anchor=now, default_timezone="UTC")
    for at in (now, now - timedelta(days=365 * 50), datetime(9999, 12, 30, tzinfo=UTC)):
        found = warnings_of(trigger, now=at, usual_duration=60)
        assert all(isinstance(warning, JobWarning) and warning.message.isprintable() for warning in found)
        assert len({warning.code for warning in found}) <= len(found)
