"""Rates of requests: "100/minute"."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""The seconds of each period."""
FORM = re.compile(rf"([1-9][0-9]{{0,8}})/({'|'.join(SECONDS)})")
"""The form of a rate."""


class Rate(NamedTuple):
    """A number of requests in a number of seconds."""

    requests: int
    seconds: int


@lru_cache(maxsize=8)
def parse_rate(text: str) -> Rate | None:
    """Return the rate of a text such as "100/minute"; None for "", which means no limit.

    Raises `ValueError` for anything else.
    """
    if not text:
        return None
    match = FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"must be empty or a rate such as 100/minute: requests, and one of {', '.join(SECONDS)}")
    return Rate(int(match[1]), SECONDS[match[2]])
