"""Checks that many kinds of input share: whole numbers, and names that are not known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice
from math import inf
from typing import TypeGuard

MAX_UNKNOWN = 50
"""Unknown names that one refusal lists. Each is compared with all known names, and a body may hold thousands."""
MAX_NAME = 64
"""Characters of a name that a message shows."""


def is_whole(value: object, low: float = -inf, high: float = inf) -> TypeGuard[int]:
    """Tell whether a JSON value is a whole number from `low` to `high`. Neither true nor 1.0 is one."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object, low: float = -inf, high: float = inf) -> TypeGuard[int | float]:
    """Tell whether a JSON value is a number from `low` to `high`. True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'seconds'?" where one of the `known` names is close to `name`, "" where none is."""
    near = difflib.get_close_matches(str(name)[:MAX_NAME], known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def unknown_names(given: Iterable[object], known: Collection[str], *, what: str = "field") -> dict[str, str]:
    """Return a message for each of the first `MAX_UNKNOWN` names in `given` that are not `known`.

    `what` is what the names are of, in the singular: "field", "parameter".
    """
    known_words = f"; the {what}s here are {', '.join(known)}" if known else f"; no {what} is needed here"
    unknown = islice((name for name in given if name not in known), MAX_UNKNOWN)
    return {printable(name): f"unknown {what}{did_you_mean(name, known) or known_words}" for name in unknown}


def printable(name: object) -> str:
    """Return a name as a message may show it: cut to `MAX_NAME` characters, and encodable in UTF-8."""
    return str(name)[:MAX_NAME].encode("utf-8", "backslashreplace").decode()
