"""Crontab expressions, as cron(8) on Debian reads them (Vixie cron 3.0pl1, `entry.c`), with L, LW and # added."""

from __future__ import annotations

import re
from typing import NamedTuple

from . import dialects
from .grammar import MONTHS, Expression, Term, field_numbers, read_step
from .pattern import (
    FIRST_YEAR,
    LAST_DAY,
    LAST_WORKDAY,
    LAST_YEAR,
    NICKNAMES,
    POSITIONS,
    WEEKDAYS,
    DayName,
    DayRule,
    Pattern,
)


class Field(NamedTuple):
    """One of the five fields: its name in messages, its bounds, and the names of its values from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


MINUTE, HOUR, DAY = Field("minute", 0, 59), Field("hour", 0, 23), Field("day", 1, 31)
MONTH = Field("month", 1, 12, MONTHS)
WEEKDAY = Field("weekday", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
FIELDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
"""The fields in their order; 0 and 7 are both Sunday."""

_TERM = re.compile(r"(?:\*|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:/(\d+))?", re.ASCII)
_NTH_WEEKDAY = re.compile(r"([a-z]+|\d+)#([1-5])", re.ASCII)
_LAST_WEEKDAY = re.compile(r"(\d)l", re.ASCII)
_LAST_DAYS = {"l": LAST_DAY, "lw": LAST_WORKDAY}
_HELP = f'give five fields, minute hour day month weekday, like "30 2 * * 1-5", or one of {", ".join(NICKNAMES)}'


def parse_crontab(text: str) -> Expression:
    """Read a crontab expression.

    Args:
        text: five fields with single blanks between them, or a nickname: "30 2 * * 1-5", "@daily".

    Returns:
        The expression. A day matches by its day of the month or by its weekday; where one of these two fields starts
        with `*`, it must match both (crontab(5) on Debian).

    Raises:
        ValueError: the text is no such expression; the message says what to write.
    """
    parts = _split(text)
    minutes, hours, days, months, weekdays = (
        read_field(field, part) for field, part in zip(FIELDS, parts, strict=True)
    )
    rule = DayRule(
        months=frozenset(field_numbers(months)),
        weeks=None,
        days=frozenset[DayName](_values(days)),
        weekdays=frozenset[DayName](WEEKDAYS[(v - 1) % 7] if isinstance(v, int) else v for v in _values(weekdays)),
        either=not (parts[2].startswith("*") or parts[4].startswith("*")),
    )
    pattern = Pattern(range(FIRST_YEAR, LAST_YEAR + 1), rule, field_numbers(hours), field_numbers(minutes), (0,))
    return Expression(pattern, fixed=not (parts[0].startswith("*") or parts[1].startswith("*")))


def read_fields(text: str) -> list[tuple[Field, tuple[Term, ...]]]:
    """Return the terms of each field of a valid crontab expression."""
    return [(field, read_field(field, part)) for field, part in zip(FIELDS, _split(text), strict=True)]


def read_field(field: Field, text: str) -> tuple[Term, ...]:
    """Return the terms of one field, in their order. Raises `ValueError` with the text to write instead."""
    return tuple(_read_term(field, part) for part in text.split(","))


def _split(text: str) -> list[str]:
    if advice := dialects.of_pasted(text):
        raise ValueError(advice)
    parts = NICKNAMES.get(text.lower(), text).split(" ")
    if len(parts) != 5 or text.startswith("@reboot"):
        raise ValueError(dialects.of_line(text) or _HELP)
    return parts


def _read_term(field: Field, part: str) -> Term:
    lower = part.lower()
    if field is DAY and lower in _LAST_DAYS:
        return _LAST_DAYS[lower]
    if field is WEEKDAY and (match := _NTH_WEEKDAY.fullmatch(lower)) is not None:
        return f"{POSITIONS[int(match[2]) - 1]} {_weekday(match[1], part)}"
    if field is WEEKDAY and (match := _LAST_WEEKDAY.fullmatch(lower)) is not None:
        return f"{POSITIONS[-1]} {_weekday(match[1], part)}"
    if (match := _TERM.fullmatch(lower)) is not None:
        return _read_range(field, part, match)
    raise _refused(field, part)


def _read_range(field: Field, part: str, match: re.Match[str]) -> range:
    first = field.low if match[1] is None else _number(field, match[1], part)
    last = field.high if match[1] is None else first if match[2] is None else _number(field, match[2], part)
    step = 1 if match[3] is None else read_step(match[3], part)
    if match[1] is not None and match[2] is None and match[3] is not None:
        wanted = f"{first}-{field.high}/{step}" if first < field.high else f"{first}"
        raise ValueError(f"{part!r} has a step without a range; write {wanted}")
    if first > last:
        raise ValueError(f"{part!r} runs backwards; write {_turned(field, first, last, step)}")
    return range(first, last + 1, step)


def _turned(field: Field, first: int, last: int, step: int) -> str:
    if field is not WEEKDAY:
        return dialects.turned(first, last, step, field.low, field.high)
    if last > 0:
        return dialects.turned(first, last, step, 1, 7)
    return f"{first}-7" + (f"/{step}" if step > 1 else "")  # Sunday ends the week as 7


def _number(field: Field, text: str, part: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit():
        raise _refused(field, part)
    number = int(text)
    if not field.low <= number <= field.high:
        hint = "; midnight is 0" if field is HOUR and number == 24 else ""
        raise ValueError(f"{part!r} is out of range; the {field.name} is {field.low}-{field.high}{hint}")
    return number


def _weekday(text: str, part: str) -> str:
    return WEEKDAYS[(_number(WEEKDAY, text, part) - 1) % 7]


def _refused(field: Field, part: str) -> ValueError:
    return ValueError(dialects.of_term(field.name, part) or f"does not understand {part!r}; {_HELP}")


def _values(terms: tuple[Term, ...]) -> list[DayName]:
    return [value for term in terms for value in ((term,) if isinstance(term, str) else term)]
