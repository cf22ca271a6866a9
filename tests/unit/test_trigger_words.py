"""Sentences match the fire times: some by example, and thousands read back and compared."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from jobs.core.exceptions import InvalidTrigger
from jobs.core.triggers import build_trigger, clean_trigger

from .sentence_reader import Claims

NOW = datetime(2027, 1, 1, 0, 0, tzinfo=UTC)
FIRE_TIMES = 400
YEARS = 5  # how far the days of rare expressions are gone through


def words(**definition: object) -> str:
    trigger = build_trigger({"type": "cron", **definition}, anchor=NOW, default_timezone="UTC")
    return trigger.describe().removesuffix(" (UTC)")


@pytest.mark.parametrize(
    ("crontab", "sentence"),
    [
        ("0 1-1/4 * * *", "at 01:00 every day"),
        ("*/90 * * * *", "every hour, at minute 0"),
        ("5,35 * * * *", "every hour, at minutes 5 and 35"),
        ("*/7 * * * *", "every hour, at every 7th minute from 0 through 56"),
        ("* * * * *", "every minute"),
        ("* 9 * * *", "every minute from 09:00 through 09:59"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes from 09:00 through 17:45 on Monday through Friday"),
        ("*/15 */2 * * *", "every 15 minutes of every 2nd hour from 0 through 22"),
        ("0 */2 * * *", "every 2 hours from 00:00 through 22:00"),
        ("0 9-17 * * *", "every hour from 09:00 through 17:00"),
        ("15 5-23/24 * * *", "at 05:15 every day"),
        ("@daily", "at 00:00 every day"),
        ("@hourly", "every hour, at minute 0"),
        ("@yearly", "at 00:00 on the 1st of January"),
        ("@weekly", "at 00:00 on Sunday"),
        ("30 2 * * 1-5", "at 02:30 on Monday through Friday"),
        ("0 0 * * */2", "at 00:00 on Sunday, Tuesday, Thursday, Saturday"),
        ("0 0 * * 6,0", "at 00:00 on Saturday and Sunday"),
        ("0 0 * * 5-7", "at 00:00 on Friday through Sunday"),
        ("0 0 * * 6,0,1", "at 00:00 on Saturday through Monday"),
        ("0 9 * 6-8 *", "at 09:00 every day from June through August"),
        ("0 9 * 1,7 *", "at 09:00 every day in January and July"),
        ("0 9-17 * 1 *", "every hour from 09:00 through 17:00 every day in January"),
        ("0 0 31 * *", "at 00:00 on the 31st of the month"),
        ("0 0 2,3,11,12,13,22 * *", "at 00:00 on the 2nd, 3rd, 11th through 13th, 22nd of the month"),
        ("0 0 */7 * *", "at 00:00 on the 1st, 8th, 15th, 22nd, 29th of the month"),
        ("0 0 */2 * *", "at 00:00 on every 2nd day from the 1st through the 31st of the month"),
        ("0 0 31 1,3 *", "at 00:00 on the 31st of January and March"),
        ("0 0 31 3-8 *", "at 00:00 on the 31st of the month from March through August"),
        ("0 0 30 2,4 *", "at 00:00 on the 30th of April"),
        ("0 0 1,31 2 *", "at 00:00 on the 1st of February"),
        ("0 0 29-31 2,3 *", "at 00:00 on the 29th through 31st of the month in February and March"),
        ("0 0 31 2 1", "at 00:00 on Monday in February"),
        ("0 0 13 * 5", "at 00:00 on the 13th of the month or on a Friday"),
        ("0 0 1,15 * 1-5", "at 00:00 on the 1st and 15th of the month or on a day from Monday through Friday"),
        ("0 0 1 6 2,4,6", "at 00:00 on the 1st of the month or on a Tuesday, Thursday or Saturday, in June"),
        ("0 0 1-31 * 5", "at 00:00 every day"),
        ("0 0 13 * 1-7", "at 00:00 every day"),
        ("0 7 */100,1-7 * MON", "at 07:00 on the 1st through 7th of the month if it is a Monday"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 LW * *", "at 00:00 on the last workday of the month"),
        ("0 0 * * FRI#3", "at 00:00 on the 3rd Friday of the month"),
        ("0 0 13 * 5L", "at 00:00 on the 13th of the month or on the last Friday of the month"),
    ],
)
def test_a_crontab_in_words(crontab: str, sentence: str) -> None:
    assert words(crontab=crontab) == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"second": "*"}, "every second"),
        ({"second": "*/20"}, "every 20 seconds"),
        ({"second": "*/7"}, "at every 7th second from 0 through 56 of every minute"),
        ({"second": "30", "minute": "*"}, "at second 30 of every minute"),
        ({"second": "*/20", "hour": "9-17"}, "every 20 seconds of every hour from 9 through 17"),
        ({"second": "*", "minute": "5-9"}, "every second of every minute from 5 through 9 of every hour"),
        ({"minute": "*/30"}, "every 30 minutes"),
        ({"minute": "*/90"}, "every hour, at minute 0"),
        ({"minute": "30"}, "every hour, at minute 30"),
        ({"hour": "9,17", "minute": "30"}, "at 09:30 and 17:30 every day"),
        ({"hour": "9", "second": "5", "minute": "0"}, "at 09:00:05 every day"),
        ({"day": "3rd fri,15,last"}, "at 00:00 on the 15th, 3rd Friday, last day of the month"),
        ({"day": "13", "day_of_week": "4"}, "at 00:00 on the 13th of the month if it is a Friday"),
        ({"day_of_week": "0-2,5"}, "at 00:00 on Monday through Wednesday and Saturday"),
        ({"month": "jan-mar"}, "at 00:00 on the 1st of the month from January through March"),
        ({"year": "2027", "week": "10"}, "at 00:00 every day in ISO week 10 in 2027"),
        ({"year": "2027-2029", "hour": "9"}, "at 09:00 every day from 2027 through 2029"),
        ({"year": "*/3"}, "at 00:00 on the 1st of January in every 3rd year from 1970 through 9998"),
        ({"year": "*/2,*/3"}, "at 00:00 on the 1st of January in 5,353 of the years from 1970 through 9998"),
        ({"week": "*/2", "day_of_week": "0"}, "at 00:00 on Monday in every 2nd ISO week from 1 through 53"),
    ],
)
def test_fields_in_words(fields: dict[str, str], sentence: str) -> None:
    assert words(**fields) == sentence


def test_the_words_of_a_trigger_that_never_fires_say_what_is_written() -> None:
    assert words(crontab="0 0 31 2 *") == "at 00:00 on the 31st of the month in February"


def random_expression(rng: random.Random, low: int, high: int) -> str:
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    step = rng.choice([1, 2, 3, 5, 7, 10, 15, 24, 30, 90])
    kinds = ["*", f"*/{step}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}"]
    return ",".join(rng.choices(kinds, weights=[3, 3, 6, 3, 3], k=rng.choice([1, 1, 1, 2, 3])))


def random_definition(rng: random.Random) -> dict[str, object]:
    bounds = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}
    texts = {name: rng.choice(["*", random_expression(rng, *bound)]) for name, bound in bounds.items()}
    if rng.random() < 0.6:
        weekday = rng.choice(["*", random_expression(rng, 0, 7), "5L", "MON#2,3L", "FRI#1,2"])
        day = rng.choice([texts["day"], texts["day"], "L", "LW,3", "*/2"])
        return {"type": "cron", "crontab": f"{texts['minute']} {texts['hour']} {day} {texts['month']} {weekday}"}
    texts["day_of_week"] = rng.choice(["*", random_expression(rng, 0, 6)])
    texts["day"] = rng.choice([texts["day"], texts["day"], "last,2nd tue", "last sun,5,6,7", "1st mon"])
    texts |= {"second": random_expression(rng, 0, 59)} if rng.random() < 0.3 else {}
    texts |= {"week": random_expression(rng, 1, 53)} if rng.random() < 0.1 else {}
    texts |= (
        {"year": rng.choice(["2027-2029", "2028", "2027,2030", "2027-2040/3", "*/2"])} if rng.random() < 0.1 else {}
    )
    return {"type": "cron", **texts}


def claimed_times(claims: Claims, until: datetime) -> list[datetime]:
    days = (until - NOW).days + 1
    midnights = (NOW + timedelta(days=number) for number in range(days) if claims.holds_on(day_at(number)))
    return [midnight + timedelta(seconds=second) for midnight in midnights for second in claims.times]


def day_at(number: int) -> date:
    return NOW.date() + timedelta(days=number)


@pytest.mark.parametrize("seed", range(8))
def test_a_sentence_claims_the_fire_times_and_no_others(seed: int) -> None:
    rng = random.Random(f"words {seed}")
    checked = 0
    while checked < 60:
        definition = random_definition(rng)
        try:
            clean_trigger(definition, now=NOW, default_timezone="UTC")
        except InvalidTrigger:  # 30 February
            continue
        checked += 1
        trigger = build_trigger(definition, anchor=NOW, default_timezone="UTC")
        sentence = trigger.describe().removesuffix(" (UTC)")
        times = trigger.fire_times(NOW - timedelta(seconds=1), FIRE_TIMES)
        end = NOW + timedelta(days=366 * YEARS)
        until = times[-1] if len(times) == FIRE_TIMES and times[-1] < end else end
        claimed = [at for at in claimed_times(Claims(sentence), until) if at <= until]
        assert claimed == [at for at in times if at <= until], (definition, sentence)
