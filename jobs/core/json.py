"""JSON: parsed strictly from people, and leniently from the database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, NoReturn

MAX_DEPTH = 32
"""Levels of arrays and objects that people may send."""
MAX_STORED_DEPTH = 100
"""Levels that are read from the database. The limit of Python's parser differs from version to version, and later
work on the value needs more of the stack than parsing."""
MAX_DIGITS = 400
"""Digits of a number. PostgreSQL's jsonb returns 1e308 as 309 digits; a float holds no larger number."""


def parse_strict(text: str) -> Any:
    """Parse JSON strictly by RFC 8259; `json.loads` accepts more.

    Raises `ValueError`, with the error as text, for text that is not JSON, NaN and Infinity, numbers that a float
    cannot hold or of more than `MAX_DIGITS` digits, objects with a name twice, and nesting deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        if text.startswith("\ufeff"):  # json's own message tells how Python would read it
            raise ValueError("is not JSON: it begins with a byte order mark") from None
        raise ValueError(f"is not JSON: {error.msg}, at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


def parse_stored(text: Any) -> Any:
    """Return the value of a JSON column.

    Text that is not JSON, is nested deeper than `MAX_STORED_DEPTH` or holds a number that is too long for Python is
    returned unchanged, and so are values that are not text.
    """
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    may_be_deep = text.count("[") + text.count("{") > MAX_STORED_DEPTH
    return text if may_be_deep and is_deeper(value, MAX_STORED_DEPTH) else value


def is_same(value: object, other: object) -> bool:
    """Tell whether two values are the same JSON, to the letter: 1 is neither 1.0 nor true, which Python finds equal."""
    return value == other and json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)


def is_equal(value: object, other: object) -> bool:
    """Tell whether two JSON values are equal, numbers by their value: 1 equals 1.0, and true equals neither."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(is_equal(value[name], other[name]) for name in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(is_equal, value, other))
    return value == other


def spelled_as(value: Any, stored: object) -> Any:
    """Return a JSON value with each part that equals the stored one as it is stored: 5.0 as 5.

    Many clients read all numbers as floats, and write them back as such.
    """
    if isinstance(value, Mapping) and isinstance(stored, Mapping):
        return {name: spelled_as(part, stored.get(name)) for name, part in value.items()}
    if isinstance(value, list) and isinstance(stored, list):
        return [*map(spelled_as, value, stored), *value[len(stored) :]]
    return stored if is_equal(value, stored) else value


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether arrays and objects are nested in `value` deeper than `levels`. The call stack does not grow."""
    level = _containers([value])
    for _ in range(levels):
        level = _containers(item for part in level for item in (part.values() if isinstance(part, dict) else part))
        if not level:
            return False
    return bool(level)


def unstorable(value: object) -> str:
    """Return the error in a JSON value whose texts PostgreSQL cannot store (NUL, lone surrogates), "" for none."""
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str) and ("\x00" in item or any("\ud800" <= c <= "\udfff" for c in item)):
            return "holds a NUL or a lone surrogate, which cannot be stored"
        if isinstance(item, Mapping):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            stack += item
    return ""


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


def _containers(items: Iterable[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, dict | list | tuple)]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"has the name {name[:64]!r} twice in one object")
        found[name] = value
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"holds {text[:40]}, which is too large for a number")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"holds a number of more than {MAX_DIGITS} digits")
    return int(text)
