"""The behaviour of Debian's own cron 3.0pl1-162, which `tests/oracles/debian_cron.py` found under faketime."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.core.triggers import build_trigger
from jobs.core.triggers.crontab import parse_crontab

ACCEPTED = [
    *("* * * * *", "1-1/4 * * * *", "*/90 * * * *", "007 05 * * *", "0 7 */100,1-7 * MON", "0 0 * * 7", "0 0 * * 0-7"),
    *("0 0 * * mon-fri/2", "0 0 * * mon-5", "0 0 1 jan-JUN *", "0 0 * * sat-7", "*/0000000020 * * * *"),
    *("0-59/60 * * * *", "0 0 30 2 *", "@daily", "@weekly", "0 0 1 * */2", "*/2,5 * * * *", "5,*/2 * * * *"),
]
REFUSED = [
    *("5/15 * * * *", "0 5/2 * * *", "60 * * * *", "0 0 * * 8", "0 0 1 13 *", "0 0 0 * *", "0 0 32 * *"),
    *("0 24 * * *", "*/0 * * * *", "1,,2 * * * *", "? * * * *", "H * * * *", "0 0 * * mon/2", "0 0 * * monday"),
    *("0 0 1 january *", "1- * * * *", "-1 * * * *", "@every 5m", "@noon"),
]
NIGHT, DAWN, MORNING = "00:58:30", "04:58:30", "06:58:30"
RUNS = [
    ("UTC", f"2027-02-01 {NIGHT}", 4, "0 1-1/4 * * *", ["01:00"]),
    ("UTC", f"2027-02-01 {NIGHT}", 4, "*/90 * * * *", ["01:00"]),
    ("UTC", f"2027-02-01 {NIGHT}", 4, "0 */36 * * *", []),
    ("UTC", f"2027-02-01 {DAWN}", 4, "0 1-1/4 * * *", []),
    ("UTC", f"2027-02-01 {DAWN}", 4, "0 5-23/24 * * *", ["05:00"]),
    ("UTC", f"2027-02-01 {DAWN}", 4, "*/90 * * * *", ["05:00"]),
    ("UTC", f"2027-02-01 {DAWN}", 4, "0 1-23/4 * * *", ["05:00"]),
    ("UTC", f"2027-02-01 {MORNING}", 4, "0 7 */100,1-7 * MON", ["07:00"]),
    ("UTC", f"2027-02-01 {MORNING}", 4, "0 7 13 * MON", ["07:00"]),
    ("UTC", f"2027-02-01 {MORNING}", 4, "0 7 */7 * MON", ["07:00"]),
    ("UTC", f"2027-02-01 {MORNING}", 4, "0 7 * * */2", []),
    ("UTC", f"2027-02-08 {MORNING}", 4, "0 7 */100,1-7 * MON", []),
    ("UTC", f"2027-02-08 {MORNING}", 4, "0 7 13 * MON", ["07:00"]),
    ("UTC", f"2027-02-08 {MORNING}", 4, "0 7 */7 * MON", ["07:00"]),
    ("UTC", f"2027-02-08 {MORNING}", 4, "0 7 1,* * WED", ["07:00"]),  # a Monday: its day field does not start with *
    ("UTC", f"2027-02-13 {MORNING}", 4, "0 7 */100,1-7 * MON", []),
    ("UTC", f"2027-02-13 {MORNING}", 4, "0 7 13 * MON", ["07:00"]),
    ("UTC", f"2027-02-13 {MORNING}", 4, "0 7 * * */2", ["07:00"]),
    ("UTC", f"2027-02-13 {MORNING}", 4, "0 7 * * 6-7", ["07:00"]),
    ("UTC", f"2027-02-14 {MORNING}", 4, "0 7 * * 0", ["07:00"]),
    ("UTC", f"2027-02-14 {MORNING}", 4, "0 7 * * 7", ["07:00"]),
    ("UTC", f"2027-02-14 {MORNING}", 4, "0 7 * * 6-7", ["07:00"]),
    ("UTC", f"2027-02-14 {MORNING}", 4, "0 7 * * */7", ["07:00"]),
    ("UTC", f"2027-02-14 {MORNING}", 4, "0 7 * * 1-6", []),
]
SPRING = [
    ("30 2 * * *", ["03:00"]),
    ("*/30 2 * * *", []),
    ("0 */2 * * *", []),
    ("0 3 * * *", ["03:00"]),
    ("* * * * *", ["01:58", "01:59", "03:00", "03:01", "03:02", "03:03", "03:04", "03:05"]),
    ("59 1 * * *", ["01:59"]),
    ("30 * * * *", []),
    # Debian ran these two and sixty times at 03:00: what a gap skips fires once together here.
    ("0,30 2 * * *", ["03:00"]),
    ("1,* 2 * * *", ["03:00"]),
]
AUTUMN = [
    ("30 2 * * *", ["02:30"]),
    ("0,30 2 * * *", ["02:00", "02:30"]),
    ("*/30 2 * * *", ["02:00", "02:30", "02:00", "02:30"]),
    ("0 */2 * * *", ["02:00", "02:00"]),
    ("0 3 * * *", ["03:00"]),
    ("30 * * * *", ["02:30", "02:30"]),
    ("15 2,3 * * *", ["02:15"]),
]


def fire_times(crontab: str, zone: str, start: str, minutes: int) -> list[str]:
    """Return the fire times in the minutes from a local time on, as local clock times."""
    begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    definition = {"type": "cron", "crontab": crontab, "timezone": zone}
    times = build_trigger(definition, anchor=begin, default_timezone="UTC").fire_times(begin, minutes)
    end = begin + timedelta(minutes=minutes)
    return [f"{at.astimezone(ZoneInfo(zone)):%H:%M}" for at in times if at < end]


@pytest.mark.parametrize("crontab", ACCEPTED)
def test_what_debian_accepts_is_accepted(crontab: str) -> None:
    assert parse_crontab(crontab)


@pytest.mark.parametrize("crontab", REFUSED)
def test_what_debian_refuses_is_refused(crontab: str) -> None:
    with pytest.raises(ValueError, match=r"write|give|out of range"):
        parse_crontab(crontab)


@pytest.mark.parametrize(("zone", "start", "minutes", "crontab", "runs"), RUNS)
def test_it_fires_when_debian_runs(zone: str, start: str, minutes: int, crontab: str, runs: Sequence[str]) -> None:
    assert fire_times(crontab, zone, start, minutes) == runs


@pytest.mark.parametrize(("crontab", "runs"), SPRING)
def test_clocks_go_forward_as_on_debian(crontab: str, runs: Sequence[str]) -> None:
    assert fire_times(crontab, "Europe/Berlin", "2027-03-28 01:57:30", 8) == runs


@pytest.mark.parametrize(("crontab", "runs"), AUTUMN)
def test_clocks_go_back_as_on_debian(crontab: str, runs: Sequence[str]) -> None:
    assert fire_times(crontab, "Europe/Berlin", "2027-10-31 01:57:30", 126) == runs
