"""Crontab expressions: accepted and refused as by cron(8) on Debian, with advice on other dialects."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import build_trigger, clean_trigger
from jobs.core.triggers.crontab import parse_crontab
from jobs.core.triggers.pattern import WEEKDAYS

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SUNDAY_FIRST = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def fire_times(crontab: str, count: int) -> list[str]:
    trigger = build_trigger({"type": "cron", "crontab": crontab}, anchor=NOW, default_timezone="UTC")
    return [f"{at:%Y-%m-%d %H:%M}" for at in trigger.fire_times(NOW, count)]


def refusal(**fields: object) -> str:
    with pytest.raises(InvalidTrigger) as caught:
        clean_trigger({"type": "cron", **fields}, now=NOW, default_timezone="UTC")
    (message,) = caught.value.fields.values()
    return message


def numbers(place: int, text: str) -> list[int]:
    """Return the values of one field of a crontab in which the others are `*`."""
    parts = ["*"] * 5
    parts[place] = text
    pattern = parse_crontab(" ".join(parts)).pattern
    if place == 4:
        return [place for place, name in enumerate(SUNDAY_FIRST) if name in pattern.days.weekdays]
    values = (pattern.minutes, pattern.hours, pattern.days.days, pattern.days.months)[place]
    return sorted(value for value in values if isinstance(value, int))


# What Debian accepts


@pytest.mark.parametrize(
    ("place", "text", "values"),
    [
        (1, "1-1/4", [1]),
        (0, "*/90", [0]),
        (0, "5-59/90", [5]),
        (0, "10-20/15", [10]),
        (0, "007,0010", [7, 10]),
        (0, "*/0000000000000000020", [0, 20, 40]),
        (1, "00-4/2", [0, 2, 4]),
        (2, "*/100,1-3", [1, 2, 3]),
        (2, "*/31", [1]),
        (3, "jan,JUN-aug", [1, 6, 7, 8]),
        (3, "jan-12/4", [1, 5, 9]),
        (3, "*/12", [1]),
        (4, "*/2", [0, 2, 4, 6]),
        (4, "*/7", [0]),
        (4, "*/8", [0]),
        (4, "7", [0]),
        (4, "0-7", [0, 1, 2, 3, 4, 5, 6]),
        (4, "1-7/2", [0, 1, 3, 5]),
        (4, "5-7", [0, 5, 6]),
        (4, "Mon-Fri/2", [1, 3, 5]),
        (4, "mon-5", [1, 2, 3, 4, 5]),
        (4, "sun-sat", [0, 1, 2, 3, 4, 5, 6]),
        (4, "Sat-7", [0, 6]),
    ],
)
def test_a_field_names_its_values(place: int, text: str, values: list[int]) -> None:
    assert numbers(place, text) == values


@pytest.mark.parametrize(
    ("nickname", "spelled_out"),
    [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@ANNUALLY", "0 0 1 1 *"),
    ],
)
def test_a_nickname_stands_for_its_five_fields(nickname: str, spelled_out: str) -> None:
    assert parse_crontab(nickname) == parse_crontab(spelled_out)


@pytest.mark.parametrize(
    ("crontab", "expected"),
    [
        ("0 1-1/4 * * *", ["2026-11-29 01:00", "2026-11-30 01:00", "2026-12-01 01:00"]),
        ("0 7 */100,1-7 * MON", ["2026-12-07 07:00", "2027-01-04 07:00", "2027-02-01 07:00"]),
        ("0 7 1-7 * */100,MON", ["2026-12-06 07:00", "2026-12-07 07:00", "2027-01-03 07:00"]),
        ("15 5-23/24 * * *", ["2026-11-29 05:15", "2026-11-30 05:15", "2026-12-01 05:15"]),
    ],
)
def test_long_steps_fire_as_on_debian(crontab: str, expected: list[str]) -> None:
    assert fire_times(crontab, 3) == expected


@pytest.mark.parametrize(
    ("days", "either"),
    [
        ("13 * 5", True),
        ("1-31 * 5", True),
        ("1,* * 5", True),  # Debian looks at the first character alone
        ("* * 5", False),
        ("*/2 * 5", False),
        ("*,13 * 5", False),
        ("13 * *", False),
        ("13 * */2", False),
        ("13 * 0-6", True),
    ],
)
def test_both_days_must_match_only_where_one_starts_with_a_star(days: str, either: bool) -> None:
    assert parse_crontab(f"0 0 {days}").pattern.days.either is either


@pytest.mark.parametrize(
    ("times", "fixed"), [("0 2", True), ("1,* 2", True), ("*/30 2", False), ("0 *", False), ("0 0-23", True)]
)
def test_clock_changes_are_made_up_for_where_neither_minute_nor_hour_starts_with_a_star(
    times: str, fixed: bool
) -> None:
    assert parse_crontab(f"{times} * * *").fixed is fixed


def test_weekdays_have_the_names_of_the_calendar() -> None:
    assert set(SUNDAY_FIRST) == set(WEEKDAYS)


# What Debian refuses, and what to write


@pytest.mark.parametrize(
    ("crontab", "wanted"),
    [
        ("5/15 * * * *", "write 5-59/15"),
        ("0 5/2 * * *", "write 5-23/2"),
        ("0 0 5/2 * *", "write 5-31/2"),
        ("0 0 1 3/3 *", "write 3-12/3"),
        ("0 0 1 jan/3 *", "write 1-12/3"),
        ("0 0 * * 1/2", "write 1-7/2"),
        ("0 0 * * mon/2", "write 1-7/2"),
        ("59/5 * * * *", "write 59"),
        ("0,5/15 * * * *", "write 5-59/15"),
        ("0 0 * * fri-sun", "write 5-7"),
        ("0 0 * * FRI-SUN", "write 5-7"),
        ("0 0 * * tue-sun/2", "write 2-7/2"),
        ("0 0 * * sat-mon", "write 6-7,1"),
        ("0 22-6 * * *", "write 22-23,0-6"),
        ("0 22-6/2 * * *", "write 22,0,2,4,6"),
        ("0 0 1 nov-feb *", "write 11-12,1-2"),
        ("0 24 * * *", "midnight is 0"),
        ("60 * * * *", "0-59"),
        ("0 0 32 * *", "1-31"),
        ("0 0 0 * *", "1-31"),
        ("0 0 * * 8", "0-7"),
        ("*/0 * * * *", "a step of 1 or more"),
        ("1-5/0 * * * *", "a step of 1 or more"),
        ("*/99999999999 * * * *", "at most 9 digits"),
    ],
)
def test_what_debian_refuses_says_what_to_write(crontab: str, wanted: str) -> None:
    assert wanted in refusal(crontab=crontab)


@pytest.mark.parametrize(
    ("crontab", "wanted"),
    [
        # seconds and years: Quartz, Spring, node-cron, AWS
        ("0 0 9 * * *", 'write "0 9 * * *", or give single fields, with "second": "0"'),
        ("*/10 * * * * *", 'with "second": "*/10"'),
        ("0 0 9 ? * MON-FRI", 'write "0 9 * * MON-FRI"'),
        ("0 0 12 1/5 * ?", 'write "0 12 */5 * *"'),
        ("0 0 12 1/1 * ? *", 'write "0 12 * * *"'),
        ("0 0/15 * * * ?", 'write "*/15 * * * *"'),
        ("0 5/10 8-18 ? * MON-FRI", 'write "5-59/10 8-18 * * MON-FRI"'),
        ("0 0 9 31/2 4/3,12 ?", 'write "0 9 31 4-12/3,12 *"'),
        ("0 0 9 ? * 2-6", "weekdays by name"),
        ("0 0 12 ? * MON-FRI *", "has seven fields"),
        ("0 0 9 1 1 ? 2027", '"second" and "year"'),
        ("0 9 ? * MON-FRI *", 'write "0 9 * * MON-FRI"'),
        ("0 9 1 1 ? 2027", '"year": "2027"'),
        ("cron(0 9 * * ? *)", 'write "0 9 * * *"'),
        ("cron(0 9 * * *)", "without cron( ): 0 9 * * *"),
        ("0 9 ? * *", "write *"),
        # time zones
        ("CRON_TZ=Europe/Berlin 0 9 * * *", '"timezone": "Europe/Berlin" beside "crontab": "0 9 * * *"'),
        ("TZ=Asia/Tokyo 0 9 * * *", '"timezone": "Asia/Tokyo"'),
        ('CRON_TZ="Asia/Tokyo" @daily', '"timezone": "Asia/Tokyo" beside "crontab": "@daily"'),
        ("CRON_TZ=Asia/Tokyo\n0 9 * * *", '"timezone": "Asia/Tokyo" beside "crontab": "0 9 * * *"'),
        ("TZ=Asia/Tokyo", 'write "timezone": "Asia/Tokyo"'),
        # Jenkins, OpenBSD
        ("H 2 * * *", "write a number"),
        ("H/15 * * * *", "write */15"),
        ("0 H(0-7) * * *", "write a number"),
        ("0~30 2 * * *", "write a number"),
        # Go, AWS, celery and plain English intervals
        ("@every 5m", '"trigger": "interval", "minutes": 5'),
        ("@every 1h30m", '"hours": 1, "minutes": 30'),
        ("@every 500ms", "whole seconds"),
        ("@every 0s", "whole seconds"),
        ("@every", "an interval is a trigger of its own"),
        ("rate(5 minutes)", '"minutes": 5'),
        ("every 10 seconds", '"seconds": 10'),
        ("5m", '"minutes": 5'),
        ("@1h30m", '"hours": 1, "minutes": 30'),
        # nicknames
        ("@reboot", "names no time"),
        ("@noon", "write one of @hourly"),
        ("@dayly", "did you mean '@daily'?"),
        ("@daily /usr/bin/backup", 'write "@daily" alone'),
        ("@daily root /usr/bin/backup", "the command is the job's func and args"),
        ("daily", 'write "@daily"'),
        # pasted lines
        ("#0 9 * * *", "is a comment"),
        ("MAILTO=ops@example.com", "is a line of its own"),
        ("0 5 * * 1 root /usr/bin/backup >/dev/null 2>&1", 'write "0 5 * * 1" alone'),
        ("*/5 * * * * cd /srv/shop && php cron.php " + "x" * 200, 'write "*/5 * * * *" alone'),
        ("0 9 * * mon-fri  # office hours", 'a comment follows the five fields; write "0 9 * * mon-fri" alone'),
        ("1, 15 9 * * *", 'write "1,15 9 * * *"'),
        ("09:30", 'write "30 9 * * *"'),
        ("0 9 * *", "has 4 fields"),
        # Quartz's days
        ("0 0 15W * *", "write 15"),
        ("0 0 L-3 * *", "write the days themselves"),
        ("0 0 * * L", "write sat"),
        ("0 0 * * FRIL", "is written 5L here"),
        ("0 0 * * MON#6", "write 1 to 5"),
        # names
        ("0 9 * * monday", "write mon"),
        ("0 9 * * tues,thurs", "write tue"),
        ("0 9 1 september *", "write sep"),
        ("0 9 1 jan-sept *", "write jan-sep"),
        # from a web page
        ("0–5 * * * *", "write 0-5"),
        ("0 9 * * 1−5", "write 1-5"),
        ("0 9 * * １", "write 1"),
        ("0\u00a09 * * *", 'write "0 9 * * *"'),
        ("0 9 * * *\n", 'write "0 9 * * *"'),
        ("0 9 * * *\n0 10 * * *", "each job has one crontab"),
        # from a file of settings
        ('"0 9 * * *"', 'write "0 9 * * *"'),
        ("'@daily'", 'write "@daily"'),
        ("“0 9 * * *”", 'write "0 9 * * *"'),
        ('0 9 * * * echo "hello"', 'write "0 9 * * *" alone'),
    ],
)
def test_other_dialects_say_the_one_thing_to_change(crontab: str, wanted: str) -> None:
    assert wanted in refusal(crontab=crontab)


@pytest.mark.parametrize(
    ("field", "text", "wanted"),
    [
        ("minute", "?", "write *"),
        ("minute", "H/15", "write */15"),
        ("hour", "22-6", "write 22-23,0-6"),
        ("day", "L", "write last"),
        ("day", "15W", "write 15"),
        ("day_of_week", "sun-tue", "write 6,0-1"),
        ("day_of_week", "7", "write sun"),
        ("day_of_week", "mon#2", '"day": "2nd mon"'),
        ("day_of_week", "5#3", '"day": "3rd fri"'),
        ("day_of_week", "5L", '"day": "last fri"'),
        ("day_of_week", "friday", "write fri"),
        ("day_of_week", "mon-fri/2", "write numbers: 0-4/2"),
        ("month", "jan/3", "write numbers: 1-12/3"),
        ("month", "january", "write jan"),
        ("minute", "1,,2", "has an empty part"),
    ],
)
def test_dialects_in_single_fields_say_the_one_thing_to_change(field: str, text: str, wanted: str) -> None:
    assert wanted in refusal(**{field: text})


def test_a_whole_crontab_in_a_single_field_belongs_elsewhere() -> None:
    assert 'write "crontab": "*/5 * * * *" in place of the single fields' in refusal(minute="*/5 * * * *")
    assert 'write "crontab": "@daily"' in refusal(hour="@daily")


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("crontab", "did you mean 'cron', with the field crontab?"),
        ("Interval", "did you mean 'interval'?"),
        ("calendar_interval", "did you mean 'calendarinterval'?"),
        ("once", "did you mean 'date'?"),
        ("weekly", "did you mean 'calendarinterval', with weeks?"),
        ("every", "did you mean 'interval'?"),
        ("CronTrigger", "did you mean 'cron'?"),
        ("date_trigger", "did you mean 'date'?"),
        ("hourly", "did you mean 'interval', with hours?"),
    ],
)
def test_types_of_other_schedulers_are_known(kind: str, wanted: str) -> None:
    with pytest.raises(InvalidTrigger) as caught:
        clean_trigger({"type": kind}, now=NOW, default_timezone="UTC")
    assert wanted in caught.value.fields["trigger"]


def test_what_is_written_instead_is_accepted() -> None:
    for crontab in (
        "4-12/3,12 * * * *",
        "5-59/15 * * * *",
        "0 0 * * 5-7",
        "0 22-23,0-6 * * *",
        "0 0 1 11-12,1-2 *",
        "0 0 * * 6-7,1",
    ):
        assert fire_times(crontab, 1)
