"""Case folding beyond ASCII for SQLite, whose LIKE and upper() know no other letters."""

from __future__ import annotations

from typing import Any

from django.db.backends.signals import connection_created

CASEFOLD = "cronzimus_casefold"
"""The SQL function that folds a text as Python's `str.casefold` does."""


def fold_on_sqlite() -> None:
    """Give every new connection to SQLite the function `CASEFOLD`."""
    connection_created.connect(_add_function, dispatch_uid=__name__)


def _add_function(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function(CASEFOLD, 1, _casefold, deterministic=True)


def _casefold(value: object) -> str:
    # A damaged row may hold anything: what is no text holds no text.
    return value.casefold() if isinstance(value, str) else ""
