"""Celery's crontab expressions as the fields of a cron trigger.

Celery joins its fields by AND, like the fields of a cron trigger, and not by OR as in a crontab line. Its weekdays
count from Sunday, and its ranges may wrap around (22-2). Source: `celery.schedules.crontab_parser`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..core.triggers.grammar import MONTHS

FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
"""Celery's fields."""
OURS = {"minute": "minute", "hour": "hour", "day_of_month": "day", "month_of_year": "month",
        "day_of_week": "day_of_week"}  # fmt: skip
"""The fields of a cron trigger, by Celery's."""
RANGES = {"minute": (0, 59), "hour": (0, 23), "day_of_month": (1, 31), "month_of_year": (1, 12), "day_of_week": (0, 6)}
"""The least and the greatest value of each field."""
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""The names of weekdays, from 0."""
_TERM = re.compile(r"(?P<star>\*)(?:/(?P<every>\d+))?|(?P<first>\w+)(?:-(?P<last>\w+)(?:/(?P<step>\d+))?)?")


def by_fields(given: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a cron trigger that fires when Celery's crontab does.

    A field that is always true is left out.

    Raises `ValueError` that names the field for an expression that Celery does not understand either.
    """
    fields: dict[str, str] = {}
    for name in FIELDS:
        low, high = RANGES[name]
        text = "".join(str(given.get(name, "*")).split())
        numbers = {number for term in text.split(",") for number in _numbers(name, term)}
        if numbers != set(range(low, high + 1)):
            fields[OURS[name]] = (
                text if re.fullmatch(r"\*/\d+", text) and name != "day_of_week" else _written(name, numbers)
            )
    # A cron trigger reads a missing field below the finest given one as its minimum.
    if "minute" not in fields:
        fields = {"minute": "*", **fields}
    return fields


def _numbers(name: str, term: str) -> list[int]:
    low, high = RANGES[name]
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"{name}: {term!r} is not a crontab expression")
    step = int(found["every"] or found["step"] or 1)
    if step < 1:
        raise ValueError(f"{name}: {term!r} has a step of 0")
    if found["star"]:
        return list(range(low, high + 1, step))
    first = _number(name, found["first"])
    last = first if found["last"] is None else _number(name, found["last"])
    if last >= first:
        return list(range(first, last + 1, step))
    return [*range(first, high + 1), *range(low, last + 1)][::step]


def _number(name: str, text: str) -> int:
    names = {"day_of_week": WEEKDAYS, "month_of_year": MONTHS}.get(name, ())
    if text.isdigit():
        number = int(text)
    elif text[:3].lower() in names:
        number = names.index(text[:3].lower()) + RANGES[name][0]
    else:
        raise ValueError(f"{name}: {text!r} is not a number or a name")
    low, high = RANGES[name]
    if name == "day_of_week" and number == 7:
        number = 0
    if not low <= number <= high:
        raise ValueError(f"{name}: {number} is not from {low} to {high}")
    return number


def _written(name: str, numbers: set[int]) -> str:
    # Weekdays by name: Celery counts from Sunday, a cron trigger by fields from Monday.
    ordered = sorted(numbers)
    return ",".join(WEEKDAYS[number] if name == "day_of_week" else str(number) for number in ordered)
