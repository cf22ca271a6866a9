"""Properties of every trigger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import Trigger, build_trigger, clean_trigger
from tests.conftest import examples

patient = settings(deadline=None, max_examples=examples(200))  # the first look at a zone or a far year takes its time
MICROSECOND = timedelta(microseconds=1)
ANCHOR = datetime(2027, 3, 26, 5, 6, 7, 89, tzinfo=UTC)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu"]

instants = st.datetimes(datetime(2027, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
dates = st.datetimes(datetime(2026, 6, 1), datetime(2029, 6, 1)).map(lambda date: date.isoformat(sep=" "))  # noqa: DTZ001


def expressions(low: int, high: int) -> st.SearchStrategy[str]:
    values = st.integers(low, high)
    spans = st.tuples(values, values).map(lambda pair: f"{min(pair)}-{max(pair)}")
    terms = st.one_of(st.just("*"), st.integers(1, (high - low) // 2 + 1).map("*/{}".format), values.map(str), spans)
    return st.lists(terms, min_size=1, max_size=3).map(",".join)


shared: dict[str, Any] = {
    "timezone": st.sampled_from(ZONES),
    "start_date": dates,
    "end_date": dates,
    "jitter": st.one_of(st.integers(0, 100_000), st.floats(0, 10)),
}
intervals = st.fixed_dictionaries(
    {"type": st.just("interval"), "seconds": st.integers(1, 100_000)},
    optional={"minutes": st.integers(0, 1000), "days": st.integers(0, 40), **shared},
)
fields = st.fixed_dictionaries(
    {"type": st.just("cron"), "hour": expressions(0, 23)},
    optional={
        "month": expressions(1, 12),
        "day": st.one_of(expressions(1, 31), st.sampled_from(["last", "2nd tue", "last sun,5"])),
        "day_of_week": expressions(0, 6),
        "minute": expressions(0, 59),
        "second": expressions(0, 59),
        **shared,
    },
)
crontabs = st.fixed_dictionaries(
    {
        "type": st.just("cron"),
        "crontab": st.tuples(*(expressions(*b) for b in [(0, 59), (0, 23), (1, 28), (1, 12), (0, 7)])).map(" ".join),
    },
    optional=shared,
)
run_dates = st.fixed_dictionaries(
    {"type": st.just("date"), "run_date": dates}, optional={"timezone": shared["timezone"]}
)
calendars = st.fixed_dictionaries(
    {"type": st.just("calendarinterval"), "days": st.integers(0, 40), "months": st.sampled_from([0, 0, 1, 5, 12])},
    optional={"hour": st.integers(0, 23), "minute": st.integers(0, 59), "weeks": st.integers(0, 3), **shared},
).filter(lambda definition: definition["days"] or definition["months"])
definitions = st.one_of(intervals, fields, crontabs, run_dates, calendars)


def build(definition: dict[str, Any]) -> Trigger:
    return build_trigger(definition, anchor=ANCHOR, default_timezone="UTC", key="job")


triggers = definitions.map(build)


@patient
@given(triggers, instants)
def test_times_ascend_and_come_after(trigger: Trigger, after: datetime) -> None:
    assert all(earlier < later for earlier, later in pairwise([after, *trigger.fire_times(after, 20)]))


@patient
@given(triggers, instants)
def test_the_list_is_next_after_repeated(trigger: Trigger, after: datetime) -> None:
    times = trigger.fire_times(after, 10)
    assert times == trigger.fire_times(after, 20)[:10]
    assert [trigger.next_after(time) for time in [after, *times][: len(times)]] == times


@patient
@given(triggers, instants)
def test_nothing_is_between_a_time_and_its_next(trigger: Trigger, after: datetime) -> None:
    time = trigger.next_after(after)
    if time is None:
        return
    assert trigger.next_after(time - MICROSECOND) == time
    assert trigger.latest_until(time) == time
    before = trigger.latest_until(time - MICROSECOND)
    assert before is None or before <= after


@patient
@given(triggers, instants)
def test_the_latest_is_the_one_whose_next_is_ahead(trigger: Trigger, until: datetime) -> None:
    latest = trigger.latest_until(until)
    if latest is not None:
        assert latest <= until
        assert trigger.next_after(latest) == trigger.next_after(until)
        assert trigger.next_after(latest - MICROSECOND) == latest


@patient
@given(triggers, instants, st.integers(0, 300))
def test_the_count_is_that_of_the_list(trigger: Trigger, after: datetime, number: int) -> None:
    times = trigger.fire_times(after, number)
    if times:
        assert trigger.count(after, times[-1]) == len(times)
        assert trigger.count(after, times[-1] - MICROSECOND) == len(times) - 1
    assert trigger.count(after, after) == 0


@patient
@given(triggers, st.lists(instants, min_size=3, max_size=3).map(sorted))
def test_counts_add_up(trigger: Trigger, times: list[datetime]) -> None:
    first, middle, last = times
    assert trigger.count(first, last) == trigger.count(first, middle) + trigger.count(middle, last)
    assert trigger.count(last, first) == 0


@patient
@given(definitions, instants)
def test_a_rebuilt_trigger_goes_on_as_before(definition: dict[str, Any], after: datetime) -> None:
    times = build(definition).fire_times(after, 5)
    assert [build(dict(definition)).next_after(time) for time in [after, *times][: len(times)]] == times


@patient
@given(definitions)
def test_cleaning_changes_no_fire_time_and_is_done_at_once(definition: dict[str, Any]) -> None:
    try:
        clean = clean_trigger(definition, now=ANCHOR, default_timezone="UTC")
    except InvalidTrigger as refusal:
        assert set(refusal.fields) <= {*definition, "trigger"}
        return
    assert clean_trigger(clean, now=ANCHOR, default_timezone="UTC") == clean
    assert build(clean).fire_times(ANCHOR, 5) == build(definition).fire_times(ANCHOR, 5)


@patient
@given(triggers)
def test_everything_has_words(trigger: Trigger) -> None:
    assert trigger.describe().isprintable()
    assert str(trigger).endswith("]")


@pytest.mark.parametrize("zone", ZONES)
@patient
@given(after=instants)
def test_an_interval_does_not_care_for_zones(zone: str, after: datetime) -> None:
    plain, zoned = {"type": "interval", "seconds": 4321}, {"type": "interval", "seconds": 4321, "timezone": zone}
    assert build(zoned).fire_times(after, 5) == build(plain).fire_times(after, 5)
