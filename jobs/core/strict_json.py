"""JSON as it is written down (RFC 8259), and nothing beside it: what `json.loads` lets through is refused."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, NoReturn

from .nesting import is_deeper

MAX_DEPTH = 32
"""How deep arrays and objects may be nested."""
MAX_DIGITS = 400
"""Digits of a number at the most."""


def loads(text: str) -> Any:
    """Return the value that `text` is the JSON of.

    Raises `ValueError`, saying what is wrong, for anything else: NaN and Infinity, numbers that a float can not hold or
    of more than `MAX_DIGITS` digits, objects with a name twice, and nesting deeper than `MAX_DEPTH`.
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
        raise ValueError(f"is not JSON: {error.msg}, at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_deeper(value, MAX_DEPTH):
        raise ValueError(_TOO_DEEP)
    return value


_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


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
    # jsonb gives back 1e308 as 309 digits; beyond what a float reaches there is nothing to keep.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"holds a number of more than {MAX_DIGITS} digits")
    return int(text)
