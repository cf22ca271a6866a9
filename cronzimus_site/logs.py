"""What the product's log leaves out."""

from __future__ import annotations

import logging
from typing import Any

MAX_CHARACTERS = 300
"""Characters of one value in a line of the log, such as the path of a request."""


class ShortValues(logging.Filter):
    """Cuts the values in a line of the log: some of them come from clients, who may send what they like."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the texts among the record's arguments."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_short, record.args))
        return True


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        return f"{value[:MAX_CHARACTERS]}… ({len(value):,} characters)"
    return value
