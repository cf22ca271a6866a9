"""Cron fire times against two oracles: cronsim, and a walk along the clock that knows nothing of the engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from operator import attrgetter
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError

from jobs.core.triggers.cron import Schedule, to_seconds
from jobs.core.triggers.grammar import BOUNDS, parse_fields
from jobs.core.triggers.pattern import POSITIONS, WEEKDAYS

from .cron_support import crontab, times, utc

CHANGES = [
    ("Europe/Berlin", "2027-03-28T01:00Z"),
    ("Europe/Berlin", "2027-10-31T01:00Z"),
    ("America/New_York", "2027-03-14T07:00Z"),
    ("America/New_York", "2027-11-07T06:00Z"),
    ("Antarctica/Troll", "2027-03-28T01:00Z"),  # two hours
    ("Antarctica/Troll", "2027-10-31T01:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00Z"),  # the repeated hour ends at midnight
    ("Asia/Kathmandu", "2027-01-01T00:00Z"),  # none: +05:45 all year
]
UNUSUAL_CHANGES = [
    ("Australia/Lord_Howe", "2027-10-02T15:30Z"),  # half an hour
    ("Australia/Lord_Howe", "2027-04-03T15:00Z"),
    ("America/Caracas", "2016-05-01T07:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00Z"),  # the day starts at 01:00
    ("Africa/Cairo", "2027-04-29T22:00Z"),
    ("Asia/Beirut", "2027-03-27T22:00Z"),
    ("Asia/Beirut", "2027-10-30T21:00Z"),
    ("America/Godthab", "2027-03-28T01:00Z"),  # the gap ends at midnight
    ("America/Scoresbysund", "2024-03-31T01:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00Z"),  # a day is skipped
    ("Pacific/Kwajalein", "1993-08-21T12:00Z"),
    ("America/Bogota", "1993-02-07T04:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00Z"),
    ("Antarctica/Casey", "2010-03-04T15:00Z"),  # back by three hours
]


# Against cronsim


def random_crontab(rng: random.Random) -> str:
    hours = rng.choice([random_field(rng, 0, 23), "*", "0,1,2,3", str(rng.choice([0, 1, 2, 3, 23]))])
    days, months, weekdays = (
        rng.choice(["*", "*", random_field(rng, low, high)]) for low, high in ((1, 31), (1, 12), (0, 7))
    )
    text = f"{random_field(rng, 0, 59)} {hours} {days} {months} {weekdays}"
    try:
        CronSim(text, datetime(2000, 1, 1))  # noqa: DTZ001
    except CronSimError:  # 30 February
        return random_crontab(rng)
    return text


def random_field(rng: random.Random, low: int, high: int) -> str:
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    # cronsim takes a range of one value for a single one, and steps on from it: "1-1/4" is 1, 5, 9, … there.
    stepped = f"{first}-{last}/{rng.randint(1, 5)}" if first < last else str(first)
    terms = ["*", f"*/{rng.randint(1, high)}", str(first), f"{first}-{last}", stepped]
    return ",".join(rng.choices(terms, weights=[4, 2, 6, 2, 2], k=rng.choice([1, 1, 1, 2, 3])))


def times_of_cronsim(text: str, zone: ZoneInfo, after: datetime, count: int) -> list[datetime]:
    """Let cronsim iterate; where it handles clock changes it counts in local time, so it starts some hours earlier."""
    fixed = not (text.startswith("*") or text.split()[1].startswith("*"))
    found: list[datetime] = []
    for time in CronSim(text, (after - timedelta(hours=26 * fixed)).astimezone(zone)):
        instant = time.astimezone(UTC)
        # Several times of one gap come from cronsim one by one, all at the same instant.
        if instant > after and instant not in found:
            found.append(instant)
        if len(found) == count:
            break
    return found


def test_ten_thousand_crontabs_fire_as_in_cronsim() -> None:
    rng = random.Random(1)
    for _ in range(10_000):
        text = random_crontab(rng)
        fixed = not (text.startswith("*") or text.split()[1].startswith("*"))
        zone, change = rng.choice(CHANGES + UNUSUAL_CHANGES[:11] if fixed else CHANGES)
        after = utc(change) + timedelta(seconds=rng.randint(-90_000, 20_000))
        expected = times_of_cronsim(text, ZoneInfo(zone), after, 3)
        assert times(crontab(text, zone), after, 3) == expected, (text, zone, after)


def test_cronsim_loses_half_an_hour_where_clocks_change_by_one_and_ours_does_not() -> None:
    after = utc("2027-10-02T10:00Z")  # cronsim steps over hours by 3,600 s, so it comes to 3:00 half an hour late
    assert times_of_cronsim("* 3 * * *", ZoneInfo("Australia/Lord_Howe"), after, 1) == [utc("2027-10-02T16:30Z")]
    assert times(crontab("* 3 * * *", "Australia/Lord_Howe"), after, 1) == [utc("2027-10-02T16:00Z")]


def test_cronsim_fires_at_a_midnight_that_is_not_and_ours_does_not() -> None:
    after = utc("2027-04-29T00:00Z")  # 00:00 does not exist on the 30th, and `*` follows the clock literally
    assert times_of_cronsim("* 0 30 * *", ZoneInfo("Africa/Cairo"), after, 1) == [utc("2027-04-29T22:00Z")]
    assert times(crontab("* 0 30 * *", "Africa/Cairo"), after, 1) == [utc("2027-05-29T21:00Z")]


# Against brute force


@dataclass(frozen=True)
class Moment:
    """An instant (UTC) and what the local clock shows then, naive."""

    instant: datetime
    local: datetime
    repeated: bool
    """The clock has shown this time before."""
    skipped: tuple[datetime, ...]
    """The times that the clock skipped just before."""


Walk = list[Moment]


def random_terms(rng: random.Random, name: str, near: int) -> tuple[str, set[int]]:
    """Return a field's expression and the values that match it, made together but not one from the other."""
    low, high = BOUNDS[name]
    texts, ranges = [], []
    for _ in range(rng.choice([1, 1, 2])):
        first = max(low, min(near, high) - rng.choice([0, 0, 0, 1, 7]))
        last = rng.randint(first, min(high, first + 40))
        step = rng.randint(1, max(1, last - first))
        kinds = [("*", low, high, 1), (f"{first}", first, first, 1), (f"{first}-{last}", first, last, 1)]
        text, *bounds = rng.choice(kinds + [(f"{first}-{last}/{step}", first, last, step)] * (first < last))
        texts.append(text)
        ranges.append(bounds)
    return ",".join(texts), {value for first, last, step in ranges for value in range(first, last + 1, step)}


def random_day(rng: random.Random, near: date) -> tuple[str, Callable[[date], bool]]:
    week, ahead = timedelta(days=7), timedelta(days=1)
    weekday, number = near.weekday(), (near.day - 1) // 7
    kind = rng.choice(["last", "last weekday", "nth weekday", "numbers"])
    if kind == "last":
        return "last", lambda day: (day + ahead).day == 1
    if kind == "last weekday":
        return f"last {WEEKDAYS[weekday]}", lambda day: day.weekday() == weekday and (day + week).month != day.month
    if kind == "nth weekday":
        name = f"{POSITIONS[number]} {WEEKDAYS[weekday]}"
        return name, lambda day: day.weekday() == weekday and number * 7 < day.day <= number * 7 + 7
    text, days = random_terms(rng, "day", near.day)
    return text, lambda day: day.day in days


def random_fields(rng: random.Random, near: datetime, *, seconds: bool) -> tuple[dict[str, str], Callable[..., bool]]:
    """Return an expression of which most fields name something near the local time, and whether a time matches it."""
    week = near.isocalendar().week
    around = {"second": rng.choice([0, 30]), "minute": rng.randrange(60), "hour": (near.hour + rng.randint(-2, 2)) % 24}
    seldom = {"month": near.month, "year": near.year, "week": week, "day_of_week": near.weekday()}
    chosen = around | {name: value for name, value in seldom.items() if rng.random() < 0.2}
    made = {name: random_terms(rng, name, value) for name, value in chosen.items()}
    if not seconds:
        made["second"] = ("0", {0})
    values: dict[str, Callable[[datetime], int]] = {name: attrgetter(name) for name in BOUNDS}
    values |= {"week": lambda local: local.isocalendar().week, "day_of_week": lambda local: local.weekday()}
    given = {name: text for name, (text, _) in made.items()}
    tests = [(values[name], matching) for name, (_, matching) in made.items()]
    day, day_matches = random_day(rng, near.date()) if rng.random() < 0.3 else ("*", lambda day: True)

    def match(local: datetime) -> bool:
        for value, matching in tests:  # a generator would take three times as long
            if value(local) not in matching:
                return False
        return day_matches(local.date())

    return {**given, "day": day}, match


@cache
def clock(zone: str, change: str, step: int, reach: int) -> Walk:
    """Return the moments around a change, every `step` seconds, up to `reach` seconds before and after it."""
    walk: Walk = []
    shown: set[datetime] = set()
    tick = timedelta(seconds=step)
    for second in range(-reach, reach, step):
        instant = utc(change) + timedelta(seconds=second)
        local = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        was = walk[-1].local if walk else local
        skipped = tuple(was + tick * number for number in range(1, (local - was) // tick))
        walk.append(Moment(instant, local, local in shown, skipped))
        shown.add(local)
    return walk


def brute_force(walk: Walk, match: Callable[[datetime], bool], *, fixed: bool) -> list[datetime]:
    """Walk along the clock; a fixed time also fires when the clock skips it, and once when the clock repeats it."""
    if not fixed:
        return [moment.instant for moment in walk[1:] if match(moment.local)]
    return [
        moment.instant
        for moment in walk[1:]
        if (match(moment.local) and not moment.repeated) or any(map(match, moment.skipped))
    ]


def check_fields(rng: random.Random, walk: Walk, zone: str, *, seconds: bool) -> None:
    given, match = random_fields(rng, rng.choice(walk).local, seconds=seconds)
    fixed = not (given["hour"].startswith("*") or given["minute"].startswith("*"))
    expected = brute_force(walk, match, fixed=fixed)
    schedule = Schedule(*parse_fields(given), ZoneInfo(zone))
    start, end = (to_seconds(walk[place].instant) for place in (0, -1))
    found = [time for time in times(schedule, walk[0].instant, len(expected) + 1) if to_seconds(time) <= end]
    assert found == expected, given
    assert schedule.count(start + 1, end + 1) == len(expected), given
    for earlier, later in pairwise(expected):
        assert schedule.last(to_seconds(later) - 1) == to_seconds(earlier), given


@pytest.mark.parametrize(("zone", "change"), [*CHANGES, *UNUSUAL_CHANGES])
def test_fields_fire_as_by_brute_force_over_seconds(zone: str, change: str) -> None:
    rng = random.Random(f"seconds {zone} {change}")
    walk = clock(zone, change, 1, 3 * 3600)
    for _ in range(5):
        check_fields(rng, walk, zone, seconds=True)


@pytest.mark.parametrize(("zone", "change"), [*CHANGES, *UNUSUAL_CHANGES, ("Antarctica/Vostok", "1994-01-31T17:00Z")])
def test_fields_fire_as_by_brute_force_over_minutes(zone: str, change: str) -> None:
    rng = random.Random(f"minutes {zone} {change}")
    walk = clock(zone, change, 60, 30 * 3600)
    for _ in range(30):
        check_fields(rng, walk, zone, seconds=False)


@pytest.mark.parametrize(("zone", "change"), [*CHANGES, *UNUSUAL_CHANGES])
def test_crontabs_fire_as_by_brute_force(zone: str, change: str) -> None:
    rng = random.Random(f"crontab {zone} {change}")
    walk = clock(zone, change, 60, 30 * 3600)
    for _ in range(30):
        text = random_crontab(rng)
        fixed = not (text.startswith("*") or text.split()[1].startswith("*"))
        cron = CronSim(text, walk[0].local)

        def match(local: datetime, cron: CronSim = cron) -> bool:
            in_day = local.minute in cron.minutes and local.hour in cron.hours
            return in_day and local.month in cron.months and cron.match_day(local.date())

        expected = brute_force(walk, match, fixed=fixed)
        found = times(crontab(text, zone), walk[0].instant, len(expected) + 1)
        assert [time for time in found if time <= walk[-1].instant] == expected, text
