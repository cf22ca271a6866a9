"""The grammar of cron expressions: APScheduler's fields, and crontab(5) as the library cronsim reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from .pattern import FIRST_YEAR, LAST_DAY, LAST_WORKDAY, LAST_YEAR, POSITIONS, WEEKDAYS, DayName, DayRule, Pattern

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
"""The names of months, from 1."""
BOUNDS = {
    "year": (FIRST_YEAR, LAST_YEAR),
    "month": (1, 12),
    "day": (1, 31),
    "week": (1, 53),
    "day_of_week": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
"""The least and the greatest value of each field, in APScheduler's order: from the most to the least significant."""

MAX_LENGTH = 100
"""The most characters of an expression: what nobody writes by hand is refused before it is read."""

Term = range | str
"""A part of a field between commas: the numbers that it names, or the name of a day ("last", "3rd fri")."""

_LEAST = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
_NUMBERS = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", re.ASCII)
_NAMES = re.compile(r"([a-z]+)(?:-([a-z]+))?")
_POSITION = re.compile(r"(\w+) +([a-z]+)", re.ASCII)
_NAMED_VALUES = {"month": (MONTHS, 1), "day_of_week": (WEEKDAYS, 0)}
_EXTRAS = {"month": ", jan-dec", "day_of_week": " (0 is Monday), mon-sun", "day": ", last, 3rd fri, last sun"}

_CRONTAB_TERM = re.compile(
    r"(?:\*|(?:\d\d?|[A-Z]{3})(?:-(?:\d\d?|[A-Z]{3}))?)(?:/\d\d?)?|LW?|\dL|(?:\d|[A-Z]{3})#\d", re.ASCII
)
_CRONTAB_HELP = (
    'give five fields, minute hour day month weekday, like "30 2 * * 1-5", '
    "or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Expression(NamedTuple):
    """A cron expression: its local times, and whether its minute and hour are fixed (neither starts with `*`)."""

    pattern: Pattern
    fixed: bool


@lru_cache(maxsize=4096)
def parse_field(name: str, text: str) -> tuple[Term, ...]:
    """Read the expression of one field.

    The grammar is APScheduler's (`apscheduler.triggers.cron`), without the text that it lets trail.

    Args:
        name: one of `BOUNDS`.
        text: such as "*/15", "1-5,7", "mon-fri", "last sun".

    Returns:
        Its terms, in their order.

    Raises:
        ValueError: the text is no such expression; says what would be one.
    """
    return tuple(_parse_term(name, part.strip(" ")) for part in text.lower().split(","))


def _parse_term(name: str, part: str) -> Term:
    if match := _NUMBERS.fullmatch(part):
        return _parse_numbers(name, part, match)
    if name in _NAMED_VALUES and (match := _NAMES.fullmatch(part)):
        names, least = _NAMED_VALUES[name]
        first, last = match[1], match[2] or match[1]
        if first in names and last in names and names.index(first) <= names.index(last):
            return range(names.index(first) + least, names.index(last) + least + 1)
    if name == "day" and part == LAST_DAY:
        return LAST_DAY
    if name == "day" and (match := _POSITION.fullmatch(part)) and match[1] in POSITIONS and match[2] in WEEKDAYS:
        return f"{match[1]} {match[2]}"
    raise ValueError(f"does not understand {part!r}; {_help(name)}")


def _parse_numbers(name: str, part: str, match: re.Match[str]) -> range:
    low, high = BOUNDS[name]
    first = low if match[1] is None else int(match[1])
    step = 1 if match[3] is None else int(match[3])
    last = int(match[2]) if match[2] else first if match[1] and match[3] is None else high
    if not low <= first <= last <= high:
        raise ValueError(f"{part!r} is out of range; {_help(name)}")
    if step == 0 or (match[3] and step > last - first):
        raise ValueError(f"the step of {part!r} is 0 or goes beyond its range; {_help(name)}")
    return range(first, last + 1, step)


def _help(name: str) -> str:
    low, high = BOUNDS[name]
    return f"write *, */n, a, a-b, a-b/n or a list of these, with values of {low}-{high}{_EXTRAS.get(name, '')}"


def complete_fields(given: Mapping[str, str]) -> dict[str, str]:
    """Return all fields with their expressions, defaults as in `apscheduler.triggers.cron.CronTrigger`.

    Before the last field given they are `*`, after it the least value; of week and day_of_week always `*`.
    """
    last = max(list(BOUNDS).index(name) for name in given)
    defaults = {name: "*" if order < last else _LEAST.get(name, "*") for order, name in enumerate(BOUNDS)}
    return defaults | dict(given)


def parse_fields(given: Mapping[str, str]) -> Expression:
    """Read an expression given by fields.

    Args:
        given: at least one of `BOUNDS`, each a text for `parse_field`.

    Returns:
        The expression, in which a day must match the day and the day_of_week.

    Raises:
        ValueError: a field is not valid.
    """
    texts = complete_fields(given)
    terms = {name: parse_field(name, text) for name, text in texts.items()}
    numbers = {name: field_numbers(terms[name]) for name in BOUNDS if name != "year"}
    weeks = None if texts["week"] == "*" else frozenset(numbers["week"])
    named = [term for term in terms["day"] if isinstance(term, str)]
    weekdays = frozenset[DayName](WEEKDAYS[number] for number in numbers["day_of_week"])
    days = DayRule(frozenset(numbers["month"]), weeks, frozenset[DayName]([*numbers["day"], *named]), weekdays)
    years = range(FIRST_YEAR, LAST_YEAR + 1) if texts["year"] == "*" else field_numbers(terms["year"])
    pattern = Pattern(years, days, numbers["hour"], numbers["minute"], numbers["second"])
    return Expression(pattern, fixed=not (texts["hour"].startswith("*") or texts["minute"].startswith("*")))


def field_numbers(terms: Iterable[Term]) -> tuple[int, ...]:
    """Return all numbers that terms of a field name, ascending."""
    return tuple(sorted({number for term in terms if isinstance(term, range) for number in term}))


def split_crontab(text: str) -> list[str]:
    """Split a crontab expression into its five fields, in capitals; nicknames such as @daily are spelled out.

    Raises:
        ValueError: there are not five, or one has what crontab(5) and cronsim's extensions (L, LW, #) do not know.
    """
    if text.lower() == "@reboot":
        raise ValueError("@reboot names no time, so it can not be scheduled here")
    parts = _NICKNAMES.get(text.lower(), text).upper().split(" ")
    if len(parts) != 5:
        raise ValueError(_CRONTAB_HELP)
    for part in parts:
        # cronsim takes other alphabets' letters (a long s, in SUN) and meaningless steps (L/2, */1000000).
        if not text.isascii() or not all(_CRONTAB_TERM.fullmatch(term) for term in part.split(",")):
            raise ValueError(f"does not understand {part!r}; {_CRONTAB_HELP}")
    return parts


def parse_crontab(text: str) -> Expression:
    """Read a crontab expression as cron(8) does on Debian, by cronsim's parser.

    Args:
        text: five fields, single blanks between them, or a nickname: "30 2 * * 1-5", "@daily".

    Returns:
        The expression, in which a day must match the day of the month or the weekday, but both where one of them starts
        with `*` (crontab(5) on Debian).

    Raises:
        ValueError: the text is no such expression; says what would be one.
    """
    parts = split_crontab(text)
    try:
        cron = CronSim(" ".join(parts), datetime(2000, 1, 1))  # noqa: DTZ001 - only parsed, no time is asked of it
    except CronSimError as error:
        name = str(error).removeprefix("Bad ")
        raise ValueError(f"its {name} is out of range, never comes or makes no sense; {_CRONTAB_HELP}") from None
    days = DayRule(
        months=frozenset(cron.months),
        weeks=None,
        days=frozenset[DayName](_DAYS_OF_CRONSIM.get(day, day) for day in cron.days),
        weekdays=frozenset[DayName](_weekday_of_cronsim(weekday) for weekday in cron.weekdays),
        either=not cron.day_and,
    )
    times = (tuple(sorted(values)) for values in (cron.hours, cron.minutes, cron.seconds))
    pattern = Pattern(range(FIRST_YEAR, LAST_YEAR + 1), days, *times)
    return Expression(pattern, fixed=not (parts[0].startswith("*") or parts[1].startswith("*")))


_DAYS_OF_CRONSIM: dict[int, DayName] = {CronSim.LAST: LAST_DAY, CronSim.LAST_WEEKDAY: LAST_WORKDAY}


def _weekday_of_cronsim(weekday: int | tuple[int, int]) -> str:
    number, nth = weekday if isinstance(weekday, tuple) else (weekday, None)
    name = WEEKDAYS[(number - 1) % 7]
    if nth is None:
        return name
    return f"last {name}" if nth == CronSim.LAST else f"{POSITIONS[nth - 1]} {name}"
