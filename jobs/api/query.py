"""Parse query parameters strictly, with a reader for each, and report all bad ones at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo
from typing import Any

from rest_framework.request import Request

from ..core.exceptions import InvalidRequest
from ..core.times import parse_instant
from ..core.values import did_you_mean, printable, unknown_names

Reader = Callable[[str], Any]
"""Turns a parameter's text into its value; raises `ValueError` with a message for the client."""


def query_of(request: Request, readers: dict[str, Reader]) -> dict[str, Any]:
    """Return the values of the query parameters that `readers` names, None for missing ones.

    Raises `InvalidRequest` that names every bad, unknown or repeated parameter.
    """
    given = request.query_params
    values: dict[str, Any] = dict.fromkeys(readers)
    fields = unknown_names(given, readers, what="parameter")
    for name in given.keys() & readers.keys():
        try:
            values[name] = readers[name](_only(given.getlist(name)))
        except ValueError as error:
            fields[name] = str(error)
    if fields:
        raise InvalidRequest(fields=fields)
    return values


def text(value: str) -> str:
    """Read a text."""
    if "\x00" in value:
        raise ValueError("must not hold a NUL")
    return value


def flag(value: str) -> bool:
    """Read a switch: 1 or true is on, 0 or false is off."""
    if value in ("1", "true"):
        return True
    if value in ("0", "false"):
        return False
    raise ValueError("must be 1 or 0")


def whole(low: int, high: int) -> Reader:
    """Return a reader of a whole number from `low` to `high`."""

    def read(value: str) -> int:
        if value.isascii() and value.isdigit() and len(value) <= 18 and low <= int(value) <= high:
            return int(value)
        raise ValueError(f"must be a whole number from {low} to {high}")

    return read


def one_of(names: Iterable[str]) -> Reader:
    """Return a reader of one of `names`."""
    known = tuple(names)

    def read(value: str) -> str:
        if value in known:
            return value
        raise ValueError(f"must be one of {', '.join(known)}")

    return read


def names_of(known: Iterable[str]) -> Reader:
    """Return a reader of some of the `known` names, separated by commas."""
    known = tuple(known)

    def read(value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(value.split(",")))
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or f"; the fields are {', '.join(known)}"
                raise ValueError(f"has no field {printable(name)!r}{hint}")
        return names

    return read


def instant(zone: tzinfo, *, end: bool = False) -> Reader:
    """Return a reader of an instant; a time without an offset is a local time of `zone`.

    A date alone is the first instant of its day, and with `end` the end of it.
    """

    def read(value: object) -> datetime:
        try:
            return parse_instant(value, zone, end=end)
        except ValueError as error:
            raise ValueError(f"{error} (in an address, %2B stands for +)") from None

    return read


def _only(values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError("is given more than once")
    return values[0]
