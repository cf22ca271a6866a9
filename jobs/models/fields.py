"""Model fields: JSON that can read damaged columns, and the names of actors and brokers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db import models

from ..core.json import parse_stored


def choices_of(names: type[StrEnum]) -> list[tuple[str, str]]:
    """Return the members of an enum as the choices of a field."""
    return [(name.value, name.value.replace("_", " ")) for name in names]


class StoredJSON(models.JSONField):
    """A JSON column. Text that is not JSON is read unchanged, so that one damaged row stops no query."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value of the stored JSON, or the stored text if it is not JSON."""
        return parse_stored(value)

    def deconstruct(self) -> Any:
        """Return a plain JSONField: migrations need not know this class, and the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


class NameField(models.CharField):  # type: ignore[type-arg]
    """A name, "" for none, that is cut to the length of the column as it is stored and compared."""

    def __init__(self, **options: Any) -> None:
        """Make a column whose names may be empty."""
        super().__init__(**{"blank": True, "default": "", **options})

    def get_prep_value(self, value: Any) -> Any:
        """Return the name as it is stored and compared."""
        name = super().get_prep_value(value)
        return name[: self.max_length] if isinstance(name, str) else name

    def deconstruct(self) -> Any:
        """Return a plain CharField: migrations need not know this class, and the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class ActorField(NameField):
    """The name of an actor. A host's user model may have longer ones."""

    def __init__(self, **options: Any) -> None:
        """Make a column that holds any e-mail address (RFC 3696, erratum 1690)."""
        super().__init__(**{"max_length": 254, **options})


class BrokerField(NameField):
    """The broker that a process uses, by its name (`core.brokers.broker_name`), without credentials."""

    def __init__(self, **options: Any) -> None:
        """Make a column for a host and a virtual host of usual lengths."""
        super().__init__(**{"max_length": 150, **options})
