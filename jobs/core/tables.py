"""Tables as CSV (RFC 4180), whose texts no spreadsheet runs as formulas."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The first characters of a formula in a spreadsheet (OWASP, CSV Injection)."""


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Return rows as lines of CSV. Lists and objects are written as JSON."""
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def cell(value: Any) -> Any:
    """Return a value for a cell. A text that would be a formula gets an apostrophe before it."""
    if isinstance(value, dict | list | bool):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value
