"""JSON as the database has it: whatever is there, it is read."""

from __future__ import annotations

import json
from typing import Any

from .nesting import is_deeper

MAX_DEPTH = 100
"""Levels of lists and objects that are stored. How many more Python could read differs from version to version, and
reading them takes less of the stack than what is done with them afterwards."""


def loads(text: Any) -> Any:
    """Return the value of stored JSON.

    What is no JSON, or nested deeper than `MAX_DEPTH`, or has a number of too many digits is the text itself, and what
    is no text is what it is.
    """
    if not isinstance(text, str):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    may_be_deep = text.count("[") + text.count("{") > MAX_DEPTH
    return text if may_be_deep and is_deeper(value, MAX_DEPTH) else value
