"""The trigger `calendarinterval`: APScheduler's dates, at one time of the local day, across changes of the clock."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import Trigger, build_trigger, clean_trigger
from jobs.core.triggers.calendar_dates import EveryMonths, interval_of

NOW = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)  # a Friday


def build(*, anchor: datetime = NOW, **fields: object) -> Trigger:
    return build_trigger({"type": "calendarinterval", **fields}, anchor=anchor, default_timezone="UTC", key="job")


def days(trigger: Trigger, count: int, after: datetime = NOW) -> list[str]:
    return [f"{at.astimezone(trigger.timezone):%Y-%m-%d}" for at in trigger.fire_times(after, count)]


def utc(*texts: str) -> list[datetime]:
    return [datetime.fromisoformat(text).astimezone(UTC) for text in texts]


# Dates


def test_every_other_monday_keeps_its_local_time_across_a_change_of_the_clock() -> None:
    trigger = build(weeks=2, hour=9, start_date="2027-03-15", timezone="Europe/Berlin")
    assert trigger.fire_times(NOW, 3) == utc("2027-03-15T08:00Z", "2027-03-29T07:00Z", "2027-04-12T07:00Z")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"days": 1, "hour": 13}, ["2027-01-01", "2027-01-02", "2027-01-03"]),
        ({"days": 1, "hour": 12}, ["2027-01-02", "2027-01-03", "2027-01-04"]),
        ({"days": 3, "hour": 9}, ["2027-01-04", "2027-01-07", "2027-01-10"]),
        ({"weeks": 1, "days": 1}, ["2027-01-09", "2027-01-17", "2027-01-25"]),
        ({"months": 1, "start_date": "2027-01-15"}, ["2027-01-15", "2027-02-15", "2027-03-15"]),
        ({"months": 1, "start_date": "2027-01-31"}, ["2027-01-31", "2027-03-31", "2027-05-31"]),
        ({"months": 5, "start_date": "2027-01-31"}, ["2027-01-31", "2029-07-31", "2029-12-31"]),
        ({"years": 1, "start_date": "2028-02-29"}, ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ({"years": 1, "months": 6, "start_date": "2027-01-31"}, ["2027-01-31", "2028-07-31", "2030-01-31"]),
        ({"months": 1, "days": 1, "start_date": "2027-01-31"}, ["2027-01-31", "2027-04-01", "2027-05-02"]),
        ({"years": 100, "start_date": "2096-02-29"}, ["2096-02-29", "2196-02-29", "2296-02-29"]),
        (
            {"months": 0, "weeks": 2, "days": None, "start_date": "2026-12-28"},
            ["2027-01-11", "2027-01-25", "2027-02-08"],
        ),
    ],
)
def test_dates_that_a_month_lacks_are_left_out(fields: dict[str, Any], expected: list[str]) -> None:
    assert days(build(**fields), 3) == expected


def test_it_counts_from_the_start_date_wherever_it_lies() -> None:
    trigger = build(weeks=2, start_date="1999-01-04")
    assert days(trigger, 2) == ["2027-01-11", "2027-01-25"]
    assert trigger.count(datetime(1999, 1, 3, tzinfo=UTC), NOW) == (NOW.date() - date(1999, 1, 4)).days // 14 + 1


def test_without_a_start_date_it_counts_from_the_local_day_of_its_anchor() -> None:
    late = datetime(2027, 1, 1, 23, 30, tzinfo=UTC)  # the 2nd in Tokyo
    assert days(build(days=2, hour=9, anchor=late), 2, late) == ["2027-01-03", "2027-01-05"]
    assert days(build(days=2, hour=9, anchor=late, timezone="Asia/Tokyo"), 2, late) == ["2027-01-02", "2027-01-04"]


def test_a_start_date_with_a_time_excludes_earlier_times_of_its_day() -> None:
    assert days(build(days=7, hour=9, start_date="2027-02-01 09:00:00"), 2) == ["2027-02-01", "2027-02-08"]
    assert days(build(days=7, hour=9, start_date="2027-02-01 09:00:01"), 2) == ["2027-02-08", "2027-02-15"]


def test_a_start_date_with_an_offset_is_a_day_of_the_triggers_zone() -> None:
    trigger = build(months=1, start_date="2027-01-31T20:00:00Z", hour=12, timezone="Asia/Tokyo")
    assert days(trigger, 2) == ["2027-02-01", "2027-03-01"]


def test_a_date_alone_as_an_end_is_the_whole_day() -> None:
    trigger = build(days=1, hour=23, minute=59, second=59, end_date="2027-01-03")
    assert days(trigger, 9) == ["2027-01-01", "2027-01-02", "2027-01-03"]


def test_jitter_delays_it_as_it_does_other_triggers() -> None:
    plain, late = build(days=1), build(days=1, jitter=600)
    delays = [b - a for a, b in zip(plain.fire_times(NOW, 50), late.fire_times(NOW, 50), strict=True)]
    assert timedelta(0) <= min(delays) < max(delays) <= timedelta(seconds=600)


def test_it_ends_with_the_calendar() -> None:
    for fields in ({"days": 1}, {"months": 1}, {"years": 1, "days": 1}):
        trigger = build(**fields, start_date="9999-11-30")
        assert trigger.fire_times(NOW, 100)[-1].year == 9999
        assert len(trigger.fire_times(NOW, 100)) == trigger.count(NOW, datetime.max.replace(tzinfo=UTC)) < 100


@pytest.mark.parametrize("seed", range(4))
def test_its_dates_are_apschedulers(seed: int) -> None:
    rng = random.Random(f"calendar {seed}")
    for _ in range(100):
        units = {"years": rng.choice([0, 0, 1, 4]), "months": rng.choice([0, 1, 1, 5, 7]),
                 "weeks": rng.choice([0, 0, 2]), "days": rng.choice([0, 0, 0, 1, 30])}  # fmt: skip
        if not any(units.values()):
            continue
        clock = {"hour": rng.randint(0, 23), "minute": rng.randint(0, 59), "second": rng.randint(0, 59)}
        start = date(2027, 1, 1) + timedelta(days=rng.randint(0, 800))
        theirs = CalendarIntervalTrigger(**units, **clock, start_date=start, timezone="UTC")
        expected, previous = [], None
        for _ in range(40):
            previous = theirs.get_next_fire_time(previous, NOW)
            expected.append(previous)
        ours = build(**units, **clock, start_date=start.isoformat())
        assert ours.fire_times(NOW, 40) == expected, (units, start)
        assert ours.count(NOW, expected[-1]) == 40
        assert [ours.latest_until(at) for at in expected] == expected


def test_far_dates_are_the_same_however_they_are_asked_for() -> None:
    start, far = date(2027, 1, 31), date(2700, 1, 1).toordinal()
    at_once = EveryMonths(start, interval_of({"months": 1})).up_to(far)
    step_by_step = EveryMonths(start, interval_of({"months": 1}))
    for day in range(start.toordinal(), far, 5000):
        step_by_step.up_to(day)
    assert step_by_step.up_to(far) == at_once
    assert at_once[-1] >= far > at_once[-2]


# Changes of the clock


def test_a_time_that_the_clock_skips_comes_at_the_end_of_the_gap() -> None:
    trigger = build(days=1, hour=2, minute=30, start_date="2027-03-27", timezone="Europe/Berlin")
    assert trigger.fire_times(NOW, 3) == utc("2027-03-27T01:30Z", "2027-03-28T01:00Z", "2027-03-29T00:30Z")


def test_a_time_that_comes_twice_is_its_first_occurrence() -> None:
    trigger = build(days=1, hour=2, minute=30, start_date="2027-10-30", timezone="Europe/Berlin")
    assert trigger.fire_times(NOW, 3) == utc("2027-10-30T00:30Z", "2027-10-31T00:30Z", "2027-11-01T01:30Z")


def test_a_day_that_is_skipped_comes_once_with_the_next() -> None:
    trigger = build(days=1, start_date="2011-12-29", timezone="Pacific/Apia")
    after = datetime(2011, 12, 1, tzinfo=UTC)
    times = trigger.fire_times(after, 3)
    assert times == utc("2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z")
    assert trigger.count(after, times[-1]) == 3


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "America/Sao_Paulo"])
def test_daily_is_what_cron_does_daily(zone: str) -> None:
    after = datetime(2017, 1, 1, tzinfo=UTC)
    for hour, minute in ((0, 0), (1, 45), (2, 10), (23, 59)):
        cron = {"type": "cron", "hour": hour, "minute": minute, "timezone": zone}
        expected = build_trigger(cron, anchor=after, default_timezone="UTC").fire_times(after, 1200)
        trigger = build(days=1, hour=hour, minute=minute, timezone=zone, start_date="2016-12-01")
        assert trigger.fire_times(after, 1200) == expected
        assert trigger.count(after, expected[-1]) == 1200


# Words, forms, refusals


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"weeks": 2, "hour": 9, "start_date": "2027-01-04"},
            "at 09:00 every 2 weeks on Monday, from 2027-01-04 (UTC)",
        ),
        ({"weeks": 1}, "at 00:00 every week on Friday, counted from 2027-01-01 (UTC)"),
        ({"days": 14}, "at 00:00 every 2 weeks on Friday, counted from 2027-01-01 (UTC)"),
        ({"days": 1, "hour": 9, "second": 5}, "at 09:00:05 every day, counted from 2027-01-01 (UTC)"),
        ({"days": 3}, "at 00:00 every 3 days, counted from 2027-01-01 (UTC)"),
        ({"months": 1, "start_date": "2027-01-31"}, "at 00:00 every month on the 31st, from 2027-01-31 (UTC)"),
        ({"months": 18, "start_date": "2027-01-03"}, "at 00:00 every 18 months on the 3rd, from 2027-01-03 (UTC)"),
        (
            {"years": 1, "start_date": "2028-02-29"},
            "at 00:00 every year on the 29th of February, from 2028-02-29 (UTC)",
        ),
        ({"months": 24}, "at 00:00 every 2 years on the 1st of January, counted from 2027-01-01 (UTC)"),
        ({"months": 1, "days": 2}, "at 00:00 every 1 month and 2 days, counted from 2027-01-01 (UTC)"),
        (
            {"days": 1, "start_date": "2027-02-01", "end_date": "2027-03-01", "timezone": "Europe/Berlin"},
            "at 00:00 every day, from 2027-02-01 through 2027-03-01 (Europe/Berlin)",
        ),
    ],
)
def test_it_describes_itself(fields: dict[str, Any], words: str) -> None:
    assert build(**fields).describe() == words


def test_it_has_apschedulers_form() -> None:
    assert str(build(weeks=2, days=1, hour=9)) == "calendarinterval[weeks=2, days=1, time='09:00:00']"


def test_its_canonical_form_is_what_was_given() -> None:
    definition = {"type": "calendarinterval", "months": 1, "hour": 0, "start_date": "2027-02-01", "jitter": 5}
    clean = clean_trigger(definition, now=NOW, default_timezone="UTC")
    assert clean == definition | {"start_date": "2027-02-01 00:00:00"}
    assert clean_trigger(clean, now=NOW, default_timezone="UTC") == clean


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({}, {"trigger"}),
        ({"hour": 9}, {"trigger"}),
        ({"days": 0, "weeks": 0}, {"days", "weeks"}),
        *(({"days": value}, {"days"}) for value in (-1, 1.5, "1", True, [], {}, 36_526, 10**5000, "*")),
        *(({"months": value}, {"months"}) for value in (-1, 1201, "x")),
        *(({"years": value}, {"years"}) for value in (101, 1.0)),
        *(({"days": 1, "hour": value}, {"hour"}) for value in (24, -1, "9", "*/2", 9.5, True)),
        *(({"days": 1, "minute": value}, {"minute"}) for value in (60, "0")),
        ({"days": 1, "second": 60}, {"second"}),
        ({"days": 1, "hours": 5}, {"hours"}),
        ({"days": 1, "day_of_week": "mon"}, {"day_of_week"}),
        ({"days": 1, "timezone": "Mars"}, {"timezone"}),
        ({"days": 1, "start_date": "x", "end_date": 5, "jitter": -1}, {"start_date", "end_date", "jitter"}),
        ({"days": 1, "end_date": "2026-12-31"}, {"end_date"}),
        ({"years": 1, "start_date": "2027-02-01", "end_date": "2027-01-31"}, {"end_date"}),
        ({"months": 1, "start_date": "2025-01-15", "end_date": "2027-01-10"}, {"end_date"}),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], bad: set[str]) -> None:
    with pytest.raises(InvalidTrigger) as refusal:
        clean_trigger({"type": "calendarinterval", **fields}, now=NOW, default_timezone="UTC")
    assert set(refusal.value.fields) == bad


def test_a_start_that_has_no_local_day_is_refused() -> None:
    with pytest.raises(InvalidTrigger):
        build(days=1, start_date="9999-12-31T20:00:00Z", timezone="Asia/Tokyo")


def test_it_fires_in_every_zone_of_the_calendars_last_days() -> None:
    for zone in ("Asia/Tokyo", "America/New_York"):
        trigger = build(days=1, hour=12, start_date="9999-12-01", timezone=zone)
        assert len(trigger.fire_times(NOW, 100)) in (30, 31)
        assert trigger.timezone.key == zone
