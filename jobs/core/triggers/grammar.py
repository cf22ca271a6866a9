"""Cron expressions by fields: APScheduler's grammar (`apscheduler.triggers.cron`), read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from . import dialects
from .pattern import FIRST_YEAR, LAST_DAY, LAST_YEAR, POSITIONS, WEEKDAYS, DayName, DayRule, Pattern

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
"""Characters of the longest expression. Nobody writes a longer one by hand; it is refused before it is read."""
MAX_STEP_DIGITS = 9
"""Digits of the longest step; cron(8) reads it as a C int."""

Term = range | str
"""A part of a field between commas: the numbers that it names, or the name of a day ("last", "3rd fri")."""

_LEAST = {"month": "1", "day": "1", "hour": "0", "minute": "0", "second": "0"}
_NUMBERS = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", re.ASCII)
_NAMES = re.compile(r"([a-z]+)(?:-([a-z]+))?(?:/(\d+))?", re.ASCII)
_POSITION = re.compile(r"(\w+) +([a-z]+)", re.ASCII)
_NAMED_VALUES = {"month": (MONTHS, 1), "day_of_week": (WEEKDAYS, 0)}
_EXTRAS = {"month": ", jan-dec", "day_of_week": " (0 is Monday), mon-sun", "day": ", last, 3rd fri, last sun"}


class Expression(NamedTuple):
    """A cron expression: its local times, and whether its minute and hour are fixed (neither starts with `*`)."""

    pattern: Pattern
    fixed: bool


@lru_cache(maxsize=4096)
def parse_field(name: str, text: str) -> tuple[Term, ...]:
    """Read the expression of one field.

    Args:
        name: one of `BOUNDS`.
        text: such as "*/15", "1-5,7", "mon-fri", "last sun".

    Returns:
        Its terms, in their order.

    Raises:
        ValueError: the text is no such expression; the message says what to write.
    """
    return tuple(_parse_term(name, part.strip(" ")) for part in text.split(","))


def _parse_term(name: str, part: str) -> Term:
    lower = part.lower()
    if match := _NUMBERS.fullmatch(lower):
        return _parse_numbers(name, part, match)
    if name in _NAMED_VALUES and (match := _NAMES.fullmatch(lower)):
        return _parse_names(name, part, match)
    if name == "day" and lower == LAST_DAY:
        return LAST_DAY
    if name == "day" and (match := _POSITION.fullmatch(lower)) and match[1] in POSITIONS and match[2] in WEEKDAYS:
        return f"{match[1]} {match[2]}"
    raise _refused(name, part)


def _parse_numbers(name: str, part: str, match: re.Match[str]) -> range:
    low, high = BOUNDS[name]
    first = low if match[1] is None else int(match[1])
    step = 1 if match[3] is None else read_step(match[3], part)
    # APScheduler's "5/15" is "5-59/15".
    last = int(match[2]) if match[2] else first if match[1] and match[3] is None else high
    if not (low <= first <= high and low <= last <= high):
        raise ValueError(dialects.of_term(name, part) or f"{part!r} is out of range; {_help(name)}")
    if first > last:
        raise ValueError(f"{part!r} runs backwards; write {dialects.turned(first, last, step, low, high)}")
    return range(first, last + 1, step)


def _parse_names(name: str, part: str, match: re.Match[str]) -> range:
    names, least = _NAMED_VALUES[name]
    if match[1] not in names or (match[2] or match[1]) not in names:
        raise _refused(name, part)
    first, last = names.index(match[1]) + least, names.index(match[2] or match[1]) + least
    low, high = BOUNDS[name]
    if match[3] is not None:
        wanted = f"{first}-{last if match[2] else high}/{match[3]}"
        raise ValueError(f"{part!r} has a step after a name; write numbers: {wanted}")
    if first > last:
        raise ValueError(f"{part!r} runs backwards; write {dialects.turned(first, last, 1, low, high)}")
    return range(first, last + 1)


def read_step(text: str, part: str) -> int:
    """Return the step that the digits `text` of the term `part` name. Raises `ValueError` for 0 and for billions."""
    digits = text.lstrip("0")
    if not digits:
        raise ValueError(f"the step of {part!r} is 0; write a step of 1 or more")
    if len(digits) > MAX_STEP_DIGITS:
        raise ValueError(f"the step of {part!r} is too long; write a step of at most {MAX_STEP_DIGITS} digits")
    return int(digits)


def _refused(name: str, part: str) -> ValueError:
    return ValueError(dialects.of_term(name, part) or f"does not understand {part!r}; {_help(name)}")


def _help(name: str) -> str:
    low, high = BOUNDS[name]
    return f"write *, */n, a, a-b, a-b/n or a list of these, with values of {low}-{high}{_EXTRAS.get(name, '')}"


def complete_fields(given: Mapping[str, str]) -> dict[str, str]:
    """Return all fields with their expressions. The defaults are those of `apscheduler.triggers.cron.CronTrigger`.

    Fields before the last given one are `*`, and those after it have their least value; week and day_of_week are `*`.
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
