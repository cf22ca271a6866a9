"""How values are read: what is none of its column's is null, or what the column defaults to.

SQLite keeps whatever is written into a column, whatever the column's type, and Django raises where it meets what it can
not convert: one such value would end each statement that reads it, and with it the list of all rows. PostgreSQL refuses
such values.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from django.db.backends.sqlite3 import operations
from django.db.models.expressions import Col
from django.utils.dateparse import parse_datetime

TEXTS = {"CharField", "TextField", "JSONField"}
"""The fields whose columns hold texts."""

decoded: Callable[[bytes], str] = partial(str, encoding="utf-8", errors="replace")
"""Returns the text in bytes, whatever they are."""


class DatabaseOperations(operations.DatabaseOperations):
    """Reads no value that is none of its column's."""

    def get_db_converters(self, expression: Any) -> list[Any]:
        """Return what turns the column's values into the field's, in this order."""
        field = expression.output_field
        kind = field.get_internal_type()
        converters: list[Any] = super().get_db_converters(expression)
        if kind in TEXTS:
            converters.append(_as_text)
        elif isinstance(expression, Col) and kind in self.integer_field_ranges:
            converters.append(_as_number(field, *self.integer_field_ranges[kind]))
        return converters

    def convert_datetimefield_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return an instant; None for what is none."""
        try:
            return super().convert_datetimefield_value(value, expression, connection)
        except (AttributeError, TypeError, ValueError):
            return None


def _instant(value: bytes) -> datetime | None:
    try:
        return parse_datetime(value.decode())
    except ValueError:
        return None


def _as_text(value: Any, expression: Any, connection: Any) -> Any:
    return decoded(value) if isinstance(value, bytes) else value


def _as_number(field: Any, least: int, most: int) -> Callable[[Any, Any, Any], Any]:
    def convert(value: Any, expression: Any, connection: Any) -> Any:
        if value is None or (type(value) is int and least <= value <= most):
            return value
        return None if field.null else field.get_default()

    return convert


# In place of Django's own: the driver calls it for each column that is declared so.
sqlite3.register_converter("datetime", _instant)
