"""Read values that do not fit their column as NULL, or as the column's default.

SQLite keeps any value in any column, and Django raises on a value that it cannot convert. One such value would end each
statement that reads it, and with it the list of all rows. PostgreSQL refuses such values when they are written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from math import isfinite
from typing import Any

from django.db.backends.sqlite3 import operations
from django.db.models.expressions import Col
from django.utils.dateparse import parse_datetime

TEXTS = {"CharField", "TextField", "JSONField"}
"""The fields whose columns hold texts."""

decoded: Callable[[bytes], str] = partial(str, encoding="utf-8", errors="replace")
"""Decodes bytes; invalid UTF-8 becomes U+FFFD."""


class DatabaseOperations(operations.DatabaseOperations):
    """Reads every row, even with damaged values."""

    def get_db_converters(self, expression: Any) -> list[Any]:
        """Return the functions that turn the column's value into the field's, in this order."""
        field = expression.output_field
        kind = field.get_internal_type()
        converters: list[Any] = super().get_db_converters(expression)
        if kind in TEXTS:
            converters.append(_as_text)
        elif isinstance(expression, Col) and kind in self.integer_field_ranges:
            converters.append(_as_number(field, *self.integer_field_ranges[kind]))
        elif isinstance(expression, Col) and kind == "FloatField":
            converters.append(_as_float(field))
        return converters

    def convert_datetimefield_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return an instant; None for a value that is not one."""
        try:
            return super().convert_datetimefield_value(value, expression, connection)
        except (AttributeError, TypeError, ValueError):
            return None


class GuestOperations(DatabaseOperations):
    """Reads every row of Cronzimus, and rows of other apps as Django does: for a shared database."""

    def get_db_converters(self, expression: Any) -> list[Any]:
        """Return the functions that turn the column's value into the field's, in this order."""
        model = getattr(expression.output_field, "model", None)
        if model is not None and model._meta.app_label == "cronzimus":
            return super().get_db_converters(expression)
        return operations.DatabaseOperations(self.connection).get_db_converters(expression)


def _instant(value: bytes) -> datetime | str | None:
    try:
        return parse_datetime(value.decode())
    except ValueError:
        return decoded(value)


def _as_text(value: Any, expression: Any, connection: Any) -> Any:
    return decoded(value) if isinstance(value, bytes) else value


def _as_number(field: Any, least: int, most: int) -> Callable[[Any, Any, Any], Any]:
    def convert(value: Any, expression: Any, connection: Any) -> Any:
        if value is None or (type(value) is int and least <= value <= most):
            return value
        return None if field.null else field.get_default()

    return convert


def _as_float(field: Any) -> Callable[[Any, Any, Any], Any]:
    def convert(value: Any, expression: Any, connection: Any) -> Any:
        if value is None or (type(value) in (int, float) and isfinite(value)):
            return value
        return None if field.null else field.get_default()

    return convert


# Replaces Django's converter, which raises. The driver has one for all connections of the process, a host's too: so
# this one leaves an impossible date as it is. Our operations make it NULL, and Django's raise what they always raise.
sqlite3.register_converter("datetime", _instant)
