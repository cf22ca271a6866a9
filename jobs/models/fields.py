"""Columns that no damage keeps from being read."""

from __future__ import annotations

from typing import Any

from django.db import models

from ..core import stored_json


class StoredJSON(models.JSONField):
    """A JSON column. What Python can make no value of is read as the text that it is, as what is no JSON is."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value of stored JSON, or the text itself."""
        return stored_json.loads(value)

    def deconstruct(self) -> Any:
        """Return what migrations know it by: the database sees no difference."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
