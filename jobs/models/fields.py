"""Model fields that read damaged columns."""

from __future__ import annotations

from typing import Any

from django.db import models

from ..core.json import parse_stored


class StoredJSON(models.JSONField):
    """A JSON column. Text that is not JSON is read as it is, so that one damaged row stops no query."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value of the stored JSON, or the stored text where it is not JSON."""
        return parse_stored(value)

    def deconstruct(self) -> Any:
        """Return a plain JSONField: migrations need not know this class, and the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
