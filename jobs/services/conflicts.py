"""Tell why the database refused a row."""

from __future__ import annotations

from django.db import IntegrityError

_UNIQUE_VIOLATION = "23505"  # PostgreSQL's manual, appendix A
_TAKEN = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")


def is_taken(error: IntegrityError) -> bool:
    """Tell whether a row was refused because another one has its key, and not for a wrong value."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) == _UNIQUE_VIOLATION or getattr(cause, "sqlite_errorname", None) in _TAKEN
