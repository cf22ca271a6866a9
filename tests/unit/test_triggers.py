"""Triggers by example: canonical definitions, fire times, words, and APScheduler's interface."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import TRIGGER_FIELDS, Trigger, build_trigger, clean_trigger, definition

NOW = datetime(2027, 1, 1, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
SECOND, MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def clean(kind: str, zone: str = "UTC", **fields: object) -> dict[str, Any]:
    return clean_trigger({"type": kind, **fields}, now=NOW, default_timezone=zone)


def build(kind: str, *, anchor: datetime = NOW, key: str = "", **fields: object) -> Trigger:
    return build_trigger({"type": kind, **fields}, anchor=anchor, default_timezone="UTC", key=key)


# Canonical definitions


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "interval", "seconds": 5},
        {"type": "interval", "weeks": 0, "hours": 1, "minutes": 30, "jitter": 2.5, "timezone": "Europe/Berlin"},
        {"type": "cron", "day_of_week": "mon-fri", "hour": 2, "minute": "*/15"},
        {"type": "cron", "crontab": "30 2 * * 1-5", "end_date": "2028-01-01 00:00:00"},
        {"type": "date", "run_date": "2027-06-01T10:00:00+05:30"},
    ],
)
def test_a_canonical_definition_stays_as_it_is(definition: dict[str, Any]) -> None:
    assert clean_trigger(definition, now=NOW, default_timezone="UTC") == definition


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2027-06-01", "2027-06-01 00:00:00"),
        ("2027-06-01 10:00", "2027-06-01 10:00:00"),
        ("2027-06-01T10:00:00", "2027-06-01 10:00:00"),
        ("2027-06-01 10:00:00.5", "2027-06-01 10:00:00.500000"),
        ("2027-06-01T10:00:00.000000", "2027-06-01 10:00:00"),
        ("2027-06-01T10:00:00Z", "2027-06-01T10:00:00+00:00"),
        ("2027-06-01 10:00:00+0530", "2027-06-01T10:00:00+05:30"),
        ("2027-06-01t10:00:00z", "2027-06-01T10:00:00+00:00"),
        ("2027-06-01 10:00:00-03", "2027-06-01T10:00:00-03:00"),
        ("2027-06-01T10:00:00.123456789Z", "2027-06-01T10:00:00.123456+00:00"),
        ("2027-06-01T10:00:00.000000000Z", "2027-06-01T10:00:00+00:00"),
    ],
)
def test_dates_have_one_form(given: str, canonical: str) -> None:
    assert clean("date", run_date=given) == {"type": "date", "run_date": canonical}
    assert clean("interval", seconds=5, start_date=given)["start_date"] == canonical


def test_a_date_alone_keeps_its_form_as_an_end() -> None:
    assert clean("interval", seconds=5, end_date="2027-06-01")["end_date"] == "2027-06-01"
    assert clean("interval", seconds=5, end_date="2027-06-01 00:00")["end_date"] == "2027-06-01 00:00:00"


def test_texts_lose_outer_blanks_and_crontabs_double_ones() -> None:
    assert clean("cron", hour=" 9 ") == {"type": "cron", "hour": "9"}
    assert clean("cron", crontab=" 0  9\t* * * ")["crontab"] == "0 9 * * *"


def test_null_counts_as_not_given() -> None:
    assert clean("interval", seconds=5, end_date=None, jitter=None) == {"type": "interval", "seconds": 5}


def test_fields_come_in_a_fixed_order() -> None:
    assert list(clean("interval", timezone="UTC", seconds=1, hours=1)) == ["type", "hours", "seconds", "timezone"]


def test_every_field_has_a_reader() -> None:
    for kind, fields in TRIGGER_FIELDS.items():
        for field in fields:
            with pytest.raises(InvalidTrigger) as refusal:
                clean(kind, **{field: object()})
            assert "object" in refusal.value.fields[field]


@pytest.mark.parametrize(("seconds_ago", "grace"), [(0, None), (1, None), (1, 0), (30, 60), (10**9, 1e300)])
def test_a_run_date_may_be_late_by_the_grace_time(seconds_ago: int, grace: float | None) -> None:
    run_date = (NOW - timedelta(seconds=seconds_ago)).isoformat()
    definition = {"type": "date", "run_date": run_date}
    assert clean_trigger(definition, now=NOW, default_timezone="UTC", grace=grace)["run_date"] == run_date


@pytest.mark.parametrize(("seconds_ago", "grace"), [(2, None), (2, 0.0), (61, 60)])
def test_a_run_date_further_back_is_refused(seconds_ago: int, grace: float | None) -> None:
    definition = {"type": "date", "run_date": (NOW - timedelta(seconds=seconds_ago)).isoformat()}
    with pytest.raises(InvalidTrigger, match="lies in the past"):
        clean_trigger(definition, now=NOW, default_timezone="UTC", grace=grace)


def test_an_interval_that_ends_before_its_first_time_is_refused_by_its_anchor() -> None:
    definition = {"type": "interval", "hours": 2, "end_date": "2027-01-01 13:00:00"}
    with pytest.raises(InvalidTrigger) as refusal:
        clean_trigger(definition, now=NOW, default_timezone="UTC")
    assert list(refusal.value.fields) == ["end_date"]
    assert clean_trigger(definition, now=NOW, default_timezone="UTC", anchor=NOW - timedelta(hours=1)) == definition


# Intervals and dates


def test_an_interval_first_fires_one_interval_after_its_anchor() -> None:
    anchor = NOW + 123_456 * MICROSECOND
    assert build("interval", seconds=5, anchor=anchor).fire_times(anchor, 2) == [
        anchor + 5 * SECOND,
        anchor + 10 * SECOND,
    ]


def test_an_interval_does_not_drift_in_a_hundred_years() -> None:
    trigger = build("interval", seconds=7, start_date="2027-01-01 00:00:00.000001")
    last = trigger.latest_until(NOW + 100 * YEAR)
    assert last is not None
    assert (last - datetime(2027, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) % (7 * SECOND) == timedelta(0)
    assert trigger.next_after(last) == last + 7 * SECOND


def test_a_second_overdue_for_a_century_is_counted_without_a_loop() -> None:
    trigger = build("interval", seconds=1, start_date="1970-01-01 00:00:00")
    assert trigger.count(NOW, NOW + 100 * YEAR) == 100 * 365 * 86_400
    assert trigger.latest_until(NOW + 100 * YEAR) == NOW + 100 * YEAR


def test_a_cron_of_every_second_is_counted_without_a_loop() -> None:
    trigger = build("cron", second="*", timezone="Europe/Berlin")
    assert trigger.count(NOW, NOW + 100 * YEAR) == 100 * 365 * 86_400
    assert trigger.latest_until(NOW + YEAR + MICROSECOND) == NOW + YEAR


def test_an_interval_at_the_end_of_time_ends() -> None:
    trigger = build("interval", weeks=1, start_date="9999-12-31 00:00:00")
    assert trigger.fire_times(NOW, 5) == [datetime(9999, 12, 31, tzinfo=UTC)]


def test_for_ever_is_an_end_date_in_every_zone() -> None:
    for zone in ("America/New_York", "Asia/Tokyo"):
        fields = {"hours": 1, "end_date": "9999-12-31 23:59:59", "timezone": zone}
        assert clean("interval", **fields)
        assert "until" in build("interval", **fields).describe()


def test_a_repeated_run_date_is_its_first_occurrence() -> None:
    trigger = build("date", run_date="2027-10-31 02:30:00", timezone="Europe/Berlin")
    assert trigger.next_after(NOW) == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_microseconds_of_a_window_count() -> None:
    fields = {"second": "*", "start_date": "2027-02-01 00:00:00.000001", "end_date": "2027-02-01 00:00:02.999999"}
    times = build("cron", **fields).fire_times(NOW, 5)
    assert times == [datetime(2027, 2, 1, 0, 0, second, tzinfo=UTC) for second in (1, 2)]


# Ends


@pytest.mark.parametrize(
    ("end_date", "number"), [("2027-03-03", 3), ("2027-03-03 00:00:00", 2), ("2027-03-03T09:00:00Z", 3)]
)
def test_a_date_alone_as_an_end_is_the_whole_day(end_date: str, number: int) -> None:
    after = datetime(2027, 3, 1, tzinfo=UTC)
    for kind, fields in (("cron", {"hour": 9}), ("interval", {"hours": 24, "start_date": "2027-03-01 09:00:00"})):
        assert len(build(kind, **fields, end_date=end_date).fire_times(after, 10)) == number


def test_the_whole_day_is_that_of_the_triggers_zone() -> None:
    trigger = build("cron", hour="*", end_date="2027-03-28", timezone="Europe/Berlin")  # a day of 23 hours
    last = trigger.latest_until(NOW + YEAR)
    assert last == datetime(2027, 3, 28, 21, tzinfo=UTC)
    assert trigger.count(datetime(2027, 3, 27, 22, 59, tzinfo=UTC), NOW + YEAR) == 23


def test_a_date_alone_as_a_start_is_its_first_instant() -> None:
    trigger = build("interval", hours=1, start_date="2027-04-30", timezone="Africa/Cairo")  # starts at 01:00
    assert trigger.next_after(NOW) == datetime(2027, 4, 29, 22, tzinfo=UTC)


def test_an_end_in_the_past_is_refused_but_not_the_day_that_has_begun() -> None:
    assert clean("cron", hour="*", end_date="2027-01-01")
    with pytest.raises(InvalidTrigger, match="lies in the past"):
        clean("cron", hour="*", end_date="2026-12-31")


def test_the_end_bounds_jitter() -> None:
    fields = {"hour": 23, "minute": 30, "jitter": 3600, "end_date": "2027-03-02T23:59:59Z", "key": "c"}
    trigger, end = build("cron", **fields), datetime(2027, 3, 2, 23, 59, 59, tzinfo=UTC)
    times = trigger.fire_times(datetime(2027, 3, 1, tzinfo=UTC), 5)
    unbounded = build("cron", **fields | {"end_date": None}).fire_times(datetime(2027, 3, 1, tzinfo=UTC), 3)
    assert str(unbounded[2]) == "2027-03-03 00:26:54.334157+00:00"
    assert times == [*unbounded[:2], end]
    assert trigger.next_after(end) is None
    assert trigger.latest_until(NOW + YEAR) == end
    assert trigger.count(datetime(2027, 3, 1, tzinfo=UTC), NOW + YEAR) == 3


@pytest.mark.parametrize("key", [*"abcdefgh"])
def test_jitter_stays_before_the_end_for_every_job(key: str) -> None:
    end = datetime(2027, 1, 1, 13, 0, 0, 1, tzinfo=UTC)
    trigger = build("interval", minutes=30, jitter=86_400, end_date=end.isoformat(), key=key)
    assert trigger.fire_times(NOW, 10)[-1] <= end
    assert len(trigger.fire_times(NOW, 10)) == 2


def test_an_instant_may_be_given_in_any_zone() -> None:
    tokyo = NOW.astimezone(timezone(timedelta(hours=9)))
    for trigger in (build("cron", minute="*/7"), build("interval", minutes=7), build("date", run_date="2027-05-05")):
        assert trigger.next_after(tokyo) == trigger.next_after(NOW)


# Jitter


def test_jitter_is_the_same_in_every_process_and_differs_by_key() -> None:
    first, again, other = (build("interval", minutes=5, jitter=60, key=key) for key in ("a", "a", "b"))
    assert first.fire_times(NOW, 20) == again.fire_times(NOW, 20)
    assert first.fire_times(NOW, 20) != other.fire_times(NOW, 20)
    # Known by heart: a stored next_run_time must keep its meaning from release to release.
    assert str(first.next_after(NOW)) == "2027-01-01 12:05:47.441686+00:00"


def test_jitter_only_delays_and_by_no_more_than_asked() -> None:
    plain, late, before = build("cron", minute="*/5"), build("cron", minute="*/5", jitter=60), NOW - MICROSECOND
    delays = [b - a for a, b in zip(*(trigger.fire_times(before, 200) for trigger in (plain, late)), strict=True)]
    assert timedelta(0) <= min(delays) < 5 * SECOND
    assert 55 * SECOND < max(delays) <= 60 * SECOND


def test_jitter_longer_than_the_interval_keeps_the_order() -> None:
    plain, late = build("interval", seconds=1), build("interval", seconds=1, jitter=3600)
    pairs = zip(plain.fire_times(NOW, 200), late.fire_times(NOW, 200), strict=True)
    assert all(time <= delayed < time + SECOND for time, delayed in pairs)


def test_a_key_may_be_any_text() -> None:
    assert build("interval", seconds=1, jitter=1, key="\ud800\x00").next_after(NOW)


# APScheduler's interface and look


def test_dates_push_nothing_out_of_what_is_kept() -> None:
    build("interval", seconds=5)
    kept = definition._cached_recipe.cache_info().currsize
    for day in range(1, 4):
        build("date", run_date=f"2027-06-0{day} 10:00:00")
    assert definition._cached_recipe.cache_info().currsize == kept


def test_it_is_a_trigger_for_apscheduler() -> None:
    trigger = build("cron", minute="*/5")
    assert isinstance(trigger, BaseTrigger)
    assert trigger.get_next_fire_time(None, NOW) == NOW
    assert trigger.get_next_fire_time(NOW, NOW - YEAR) == NOW + timedelta(minutes=5)
    assert build("date", run_date="2027-01-01 12:00:00").get_next_fire_time(NOW, NOW) is None


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("interval", {"minutes": 7}), ("cron", {"minute": "*/7"}), ("cron", {"hour": 2, "minute": "*", "jitter": 30}),
     ("date", {"run_date": "2027-10-31T01:30:00Z"})],
)  # fmt: skip
def test_it_never_fires_before_now_where_local_times_come_twice(kind: str, fields: dict[str, object]) -> None:
    trigger, berlin = build(kind, **fields), ZoneInfo("Europe/Berlin")
    for minute in range(0, 60, 5):
        now = datetime(2027, 10, 31, 2, minute, tzinfo=berlin, fold=1)
        time = trigger.get_next_fire_time(None, now)
        assert time == trigger.get_next_fire_time(None, now.astimezone(UTC))
        assert time is None or time >= now.astimezone(UTC)
        assert trigger.next_after(now) == trigger.next_after(now.astimezone(UTC))
        assert trigger.latest_until(now) == trigger.latest_until(now.astimezone(UTC))
        assert trigger.count(NOW, now) == trigger.count(NOW, now.astimezone(UTC))


@pytest.mark.parametrize(
    ("kind", "fields", "text", "words"),
    [
        ("interval", {"seconds": 5}, "interval[0:00:05]", "every 5 seconds"),
        ("interval", {"minutes": 90}, "interval[1:30:00]", "every 1 hour 30 minutes"),
        (
            "interval",
            {"days": 14, "jitter": 1},
            "interval[14 days, 0:00:00]",
            "every 2 weeks, each up to 1 second later",
        ),
        (
            "interval",
            {"hours": 1, "start_date": "2027-06-01", "end_date": "2027-07-01T00:00Z", "timezone": "Europe/Berlin"},
            "interval[1:00:00]",
            "every hour, from 2027-06-01 00:00:00 CEST until 2027-07-01 02:00:00 CEST (Europe/Berlin)",
        ),
        ("interval", {"hours": 24}, "interval[1 day, 0:00:00]", "every 24 hours"),
        ("interval", {"days": 1}, "interval[1 day, 0:00:00]", "every 24 hours"),
        (
            "interval",
            {"weeks": 1, "end_date": "2027-07-01"},
            "interval[7 days, 0:00:00]",
            "every 7 days, through 2027-07-01",
        ),
        ("interval", {"hours": 36}, "interval[1 day, 12:00:00]", "every 36 hours"),
        ("cron", {"hour": 9, "minute": 0}, "cron[hour='9', minute='0']", "at 09:00 every day (UTC)"),
        (
            "cron",
            {"crontab": "30 2 * * 1-5", "timezone": "Europe/Berlin", "jitter": 0.5},
            "cron[crontab='30 2 * * 1-5']",
            "at 02:30 on Monday through Friday (Europe/Berlin), each up to 0.5 seconds later",
        ),
        (
            "date",
            {"run_date": "2027-06-01T10:00Z"},
            "date[2027-06-01 10:00:00 UTC]",
            "once at 2027-06-01 10:00:00 UTC",
        ),
        (
            "date",
            {"run_date": "2027-06-01 10:00:00", "timezone": "Europe/Berlin"},
            "date[2027-06-01 10:00:00 CEST]",
            "once at 2027-06-01 10:00:00 CEST (Europe/Berlin)",
        ),
    ],
)
def test_a_trigger_shows_itself(kind: str, fields: dict[str, object], text: str, words: str) -> None:
    trigger = build(kind, **fields)
    assert (str(trigger), trigger.describe()) == (text, words)
