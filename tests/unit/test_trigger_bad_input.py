"""Wrong triggers are refused with every bad field by name, and damaged rows raise nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import TRIGGER_FIELDS, build_trigger, clean_trigger

NOW = datetime(2027, 1, 1, tzinfo=UTC)
BIG = 10**5000  # more digits than Python turns into text


class Odd:
    """A value that JSON does not have."""

    def __repr__(self) -> str:
        """Return the same text in every process, so that the ids of the tests agree."""
        return "Odd()"


WRONG_TYPES = [True, False, [], [1], {}, {"a": 1}, 1.5, float("nan"), float("inf"), Odd()]
MONSTERS = [
    BIG,
    "",
    " ",
    "\x00",
    "\ud800",
    "😀",
    " " * 40_000,
    "1," * 50_000,
    "* " * 50_000,
    "a/" * 30_000,
    "x" * 100_000,
]

BAD_MINUTES = [
    *("60", ",", "1,,2", "1,", "*/0", "*/00", "0/0", "5-2", "1-", "-1", "1-2-3", "1/2/3", "*5", "**", "1 2", "1\n"),
    *("1--100000000", "1-100000000", "9" * 90, "٣", "1.5", "1e1", "+1", "0x1", "mon", "last", "L", "?"),
]
BAD_CRONTABS = [
    *("* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8"),
    *("0 0 1--100000000 * *", "0 0 1-100000000 * *", "*/" + "9" * 88 + " * * * *", "*/0 * * * *", "1,,2 * * * *"),
    *("0 0 30 2 *", "0 0 L/2 * *", "0 0 LW/2 * *", "0 0 * * L", "0 0 * * MON#6", "0 0 * * MON#0", "0 0 * * FRI-MON"),
    *("0 0 * * monday", "0 0 * * ſUN", "٣ * * * *", "²L * * * *", "*\n* * * *", "* * * *\u00a0*", "\ud800 * * * *"),
    *("@reboot", "@often", "@daily x", "0 0 * * \x00", "* * * * *\n"),
]
BAD_DATES = [
    *("tomorrow", "2027-02-30", "2027-13-01", "2027-06-01 25:00:00", "2027-06-01 24:00:00", "2027-06-01 10:00:60"),
    *("2027-06-01T10:00:00+25:00", "2027-06-01T10:00:00+05:30:15", "2027-06-01T10:00:00 Europe/Berlin", "20270601"),
    *(
        "2027-W22-2",
        "2027-6-1",
        "2027-06-01 10",
        "2027-06-01T",
        "1800000000",
        " 2027-06-01",
        "2027-06-01\n",
        "27-06-01",
    ),
    *("٢٠٢٧-06-01", "2027-06-01 10:00:00.1234567890", "0001-01-01", "1969-12-31", "12027-01-01", "2027-06-01\x00"),
]
BAD_ZONES = [
    *("Mars/Olympus", "europe/berlin", "Europe", "Europe/", "/etc/localtime", "../etc/passwd", "localtime", "."),
    *("Europe/../UTC", "posix/UTC", "right/UTC", "posixrules", "Factory", "tzdata.zi", "zone.tab", "leapseconds"),
    *("UTC\x00", "UTC\n", "UTC ", "+02:00"),
]


def short(value: object) -> str:
    return type(value).__name__ if isinstance(value, int) and abs(value) == BIG else ascii(value)[:30]


def refusal(**definition: Any) -> dict[str, str]:
    """Return the bad fields; the definition's type may be told by its name, or left out."""
    with pytest.raises(InvalidTrigger) as caught:
        clean_trigger(definition, now=NOW, default_timezone="UTC")
    json.dumps(caught.value.fields, ensure_ascii=False).encode()
    assert max(map(len, caught.value.fields.values())) < 500
    return caught.value.fields


# The type


def test_a_trigger_without_times_is_told_what_it_needs() -> None:
    assert refusal(type="cron")["trigger"].startswith("needs a crontab, or at least one of year, month")
    assert refusal(type="interval")["trigger"].startswith("needs at least one of weeks")


def test_a_type_that_is_none_is_refused_with_all_types() -> None:
    known = "interval, cron, date, calendarinterval"
    assert refusal(type=[])["trigger"] == f"must be one of {known}, not a list"
    meant = "did you mean cron, with these five fields as its crontab?"
    assert refusal(type="0 9 * * *")["trigger"] == f"has no type '0 9 * * *'; give one of {known}; {meant}"


def test_a_missing_type_is_refused_with_all_types() -> None:
    assert refusal(seconds=5) == {"trigger": "is missing; give one of interval, cron, date, calendarinterval"}


@pytest.mark.parametrize("kind", ["weekly", "Interval", "cron ", 5, *WRONG_TYPES, *MONSTERS], ids=short)
def test_an_unknown_type_is_refused(kind: object) -> None:
    assert "one of interval, cron, date" in refusal(type=kind)["trigger"]


def test_a_field_of_another_type_is_refused() -> None:
    assert refusal(type="interval", seconds=5, month=3) == {"month": "is a field of the cron trigger, not of interval"}
    assert refusal(type="date", run_date="2027-06-01", jitter=3) == {
        "jitter": "is a field of the interval, cron and calendarinterval triggers, not of date"
    }


@pytest.mark.parametrize(
    ("kind", "field", "here"),
    [
        *(("interval", "day", "days"), ("interval", "hour", "hours"), ("interval", "second", "seconds")),
        *(("cron", "hours", "hour"), ("cron", "weeks", "week"), ("cron", "months", "month")),
        *(("calendarinterval", "month", "months"), ("calendarinterval", "minutes", "minute")),
    ],
)
def test_a_field_of_another_type_in_the_plural_or_singular_has_its_name_here(kind: str, field: str, here: str) -> None:
    assert refusal(type=kind, **{field: 1})[field].endswith(f", not of {kind}; did you mean {here!r}?")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crontab": "0 0 30 2 *"}, {"crontab": "never fires: there is no such time"}),
        ({"day": 31, "month": "2,4"}, {"day": "never fires: there is no such time"}),
        ({"year": 2020}, {"year": f"never fires: no such time comes after {NOW:%Y-%m-%d %H:%M:%S} UTC"}),
    ],
)
def test_a_trigger_that_never_fires_says_whether_it_ever_did(fields: dict[str, Any], message: dict[str, str]) -> None:
    assert refusal(type="cron", **fields) == message


def test_an_unknown_field_is_refused() -> None:
    assert refusal(type="interval", secnds=5, seconds=5) == {"secnds": "unknown field; did you mean 'seconds'?"}
    assert refusal(type="date", run_date="2030-01-01", colour=5) == {"colour": "unknown field"}


@pytest.mark.parametrize("name", [5, None, ("a",), "\ud800", "x" * 100_000, "\x00"])
def test_a_strange_name_of_a_field_is_refused(name: object) -> None:
    with pytest.raises(InvalidTrigger, match="unknown field") as caught:
        clean_trigger({"type": "interval", "seconds": 5, name: 1}, now=NOW, default_timezone="UTC")  # type: ignore[dict-item]
    json.dumps(caught.value.fields, ensure_ascii=False).encode()


def test_all_bad_fields_are_named_at_once() -> None:
    bad = {"hour": "25", "minute": "*/0", "day": "31st", "timezone": "Mars", "jitter": -1, "run_date": "x", "foo": 1}
    assert set(refusal(type="cron", month=1, **bad)) == set(bad)
    assert set(refusal(type="sometimes", hour=99, foo=1)) == {"trigger", "hour", "foo"}


# Intervals


def test_an_interval_needs_a_unit() -> None:
    assert "weeks, days, hours, minutes, seconds" in refusal(type="interval")["trigger"]
    assert "trigger" in refusal(type="interval", seconds=None, jitter=5)


@pytest.mark.parametrize("value", [-1, -BIG, BIG, 10**10, 0.5, 5.0, "5", "five", "", *WRONG_TYPES], ids=short)
def test_an_interval_takes_whole_numbers_only(value: object) -> None:
    assert list(refusal(type="interval", seconds=value, minutes=1)) == ["seconds"]


def test_an_interval_of_nothing_is_refused() -> None:
    assert set(refusal(type="interval", minutes=0, seconds=0)) == {"minutes", "seconds"}


@pytest.mark.parametrize("units", [{"weeks": 5300}, {"weeks": 5000, "days": 5000}, {"seconds": 4 * 10**9}])
def test_an_interval_of_more_than_a_century_is_refused(units: dict[str, int]) -> None:
    assert refusal(type="interval", **units).keys() == units.keys()


@pytest.mark.parametrize(
    "value", [-1, -0.1, BIG, 10**9, "5", *(value for value in WRONG_TYPES if value != 1.5)], ids=short
)
def test_jitter_is_a_number_of_seconds(value: object) -> None:
    assert list(refusal(type="interval", seconds=5, jitter=value)) == ["jitter"]


# Cron


def test_a_cron_trigger_needs_a_field() -> None:
    assert "crontab" in refusal(type="cron", timezone="UTC")["trigger"] or "hour" in refusal(type="cron")["trigger"]


@pytest.mark.parametrize("value", [*BAD_MINUTES, *WRONG_TYPES, *MONSTERS, -1, 60, -BIG], ids=short)
def test_a_bad_minute_is_refused(value: object) -> None:
    assert list(refusal(type="cron", minute=value)) == ["minute"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("day_of_week", text) for text in ("7", "mon#2", "mon-fri/x", "mon-fri/2", "fri-mon", "monday", "mon-4")],
        *[("day_of_week", text) for text in ("mon-", "-mon", "mon-fri-sat", "1st mon", "last")],
        *[("day", text) for text in ("0", "32", "lastxyz", "last xyz", "last mon x", "6th mon", "3rd", "3rdfri")],
        *[("day", text) for text in ("3rd 4", "mon", "last-5", "31st", "last\tmon")],
        *[("month", text) for text in ("0", "13", "january", "jan-feb-mar", "dec-jan", "jan/2")],
        *[("week", text) for text in ("0", "54", "mon")],
        *[("year", text) for text in ("1969", "10000", "0", "99999999999999999999")],
        *[("hour", text) for text in ("24", "9am", "9:00")],
    ],
)
def test_other_bad_fields_are_refused(field: str, value: str) -> None:
    assert list(refusal(type="cron", **{field: value})) == [field]


@pytest.mark.parametrize("value", [*BAD_CRONTABS, *WRONG_TYPES, *MONSTERS, 5], ids=short)
def test_a_bad_crontab_is_refused(value: object) -> None:
    assert list(refusal(type="cron", crontab=value)) == ["crontab"]


def test_a_crontab_together_with_single_fields_is_refused() -> None:
    assert "in place of hour, minute" in refusal(type="cron", crontab="0 0 * * *", minute=3, hour=2)["crontab"]


@pytest.mark.parametrize(
    ("field", "definition"),
    [
        ("day", {"month": 2, "day": 30}),
        ("day", {"month": "4,6,9,11", "day": 31}),
        ("year", {"year": 2026}),
        ("year", {"year": "1970-2026", "month": "*"}),
        ("week", {"week": 53, "month": "6"}),
        ("end_date", {"hour": 5, "end_date": "2026-12-31"}),
        ("end_date", {"hour": 5, "end_date": "2027-01-01 04:00:00"}),
        ("end_date", {"hour": 5, "start_date": "2027-03-01", "end_date": "2027-02-01"}),
        ("end_date", {"crontab": "0 0 29 2 *", "end_date": "2027-12-31"}),
        ("trigger", {"year": 2026, "month": 2, "day": 30}),
    ],
)
def test_what_never_fires_is_refused_where_it_went_wrong(field: str, definition: dict[str, Any]) -> None:
    assert list(refusal(type="cron", **definition)) == [field]


# Dates and zones


def test_a_date_needs_its_run_date() -> None:
    assert "is missing" in refusal(type="date")["run_date"]
    assert "is missing" in refusal(type="date", run_date=None)["run_date"]


@pytest.mark.parametrize("value", [*BAD_DATES, *WRONG_TYPES, *MONSTERS, 1_800_000_000, NOW, NOW.date()], ids=short)
@pytest.mark.parametrize("field", ["run_date", "start_date"])
def test_a_bad_date_is_refused(field: str, value: object) -> None:
    definition: dict[str, Any] = {"type": "date"} if field == "run_date" else {"type": "interval", "seconds": 5}
    assert list(refusal(**definition, **{field: value})) == [field]


@pytest.mark.parametrize("value", [*BAD_ZONES, *WRONG_TYPES, *MONSTERS, 0, 2], ids=short)
def test_a_bad_zone_is_refused(value: object) -> None:
    assert list(refusal(type="interval", seconds=5, timezone=value)) == ["timezone"]


# Damaged rows


@pytest.mark.parametrize(
    "definition", [None, 5, "cron", b"{}", [], [("type", "cron")], {}, {"type": None}, {"type": []}]
)
def test_a_damaged_definition_builds_nothing(definition: Any) -> None:
    with pytest.raises(InvalidTrigger):
        build_trigger(definition, anchor=NOW, default_timezone="UTC")


@pytest.mark.parametrize("anchor", [None, "2027-01-01", 5, NOW.replace(tzinfo=None), datetime.max.replace(tzinfo=UTC)])
def test_a_damaged_anchor_builds_nothing(anchor: Any) -> None:
    with pytest.raises(InvalidTrigger):
        build_trigger({"type": "interval", "seconds": 5}, anchor=anchor, default_timezone="UTC")


def test_true_is_not_taken_for_the_one_that_was_built_before() -> None:
    build_trigger({"type": "interval", "seconds": 1}, anchor=NOW, default_timezone="UTC")
    with pytest.raises(InvalidTrigger):
        build_trigger({"type": "interval", "seconds": True}, anchor=NOW, default_timezone="UTC")


def test_an_unknown_default_zone_builds_nothing() -> None:
    with pytest.raises(InvalidTrigger, match="Mars"):
        build_trigger({"type": "interval", "seconds": 1}, anchor=NOW, default_timezone="Mars")


names = st.one_of(
    st.sampled_from(["type", *sorted({name for names in TRIGGER_FIELDS.values() for name in names})]), st.text()
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(list(TRIGGER_FIELDS))
)
likely = st.from_regex(r"[0-9*,/\-LW#@ TZ:+]{0,20}|(mon|last|3rd fri|jan)[0-9a-z \-/#]{0,5}", fullmatch=True)
values = st.recursive(scalars | likely, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner))


@settings(deadline=None)
@given(st.one_of(values, st.dictionaries(names, values), st.dictionaries(names, likely, min_size=1)))
def test_garbage_of_any_shape_raises_invalid_trigger_only(definition: Any) -> None:
    for kind in (None, *TRIGGER_FIELDS):
        typed = {**definition, "type": kind} if kind and isinstance(definition, dict) else definition
        try:
            build_trigger(typed, anchor=NOW, default_timezone="UTC").fire_times(NOW, 2)
            clean_trigger(typed, now=NOW, default_timezone="UTC")
        except InvalidTrigger as refused:
            assert str(refused)
