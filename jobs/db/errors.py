"""Errors of the database: in one line, and by kind (it is away, full, takes no writes, lacks tables or characters)."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, NotSupportedError, OperationalError

UNDEFINED = ("42P01", "42703")
"""The states of PostgreSQL's errors "undefined table" and "undefined column"."""
READ_ONLY = "25006"
"""The state of its error "read only SQL transaction": a standby, or a primary that has become one."""
DISK_FULL = "53100"
"""The state of its error "disk full"."""
LOCKED = "55P03"
"""The state of its error "lock not available": another transaction held a row for longer than `lock_timeout`."""
UNKNOWN_CHARACTER = ("22P05", "22021")
"""The states "untranslatable character" and "character not in repertoire"."""


def one_line(error: BaseException) -> str:
    """Return the message of a database error in one line, without the statement, which may hold arguments of jobs."""
    return " ".join(str(error).partition("\nLINE ")[0].split())


def is_unavailable(error: BaseException | None) -> bool:
    """Tell whether an error means that the database does not work at all now, but may work later."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    # SQLite raises `DatabaseError` itself for a damaged file, and for a file that is not a database.
    return type(error) is DatabaseError or is_read_only(error)


def is_read_only(error: BaseException | None) -> bool:
    """Tell whether the database takes no writes."""
    return _is(error, READ_ONLY, "attempt to write a readonly database")


def is_full(error: BaseException | None) -> bool:
    """Tell whether the disk of the database is full."""
    return _is(error, DISK_FULL, "database or disk is full")


def is_locked(error: BaseException | None) -> bool:
    """Tell whether PostgreSQL gave up waiting for a row that another transaction has locked."""
    return isinstance(error, OperationalError) and _state(error.__cause__) == LOCKED


def _is(error: BaseException | None, state: str, text: str) -> bool:
    """Tell whether an error of the database has the `state` of PostgreSQL, or begins with the `text` of SQLite."""
    return isinstance(error, DatabaseError) and (_state(error.__cause__) == state or str(error).startswith(text))


def lacks_tables(error: BaseException | None) -> bool:
    """Tell whether a table or a column is missing, because the migrations were not applied."""
    while isinstance(error, DatabaseError):
        if str(error).startswith(("no such table", "no such column")):
            return True
        error = error.__cause__
    return _state(error) in UNDEFINED


def lacks_characters(error: BaseException | None) -> bool:
    """Tell whether a text has a character that the encoding of the database lacks: the encoding is not UTF-8."""
    if not isinstance(error, DatabaseError):
        return False
    # SQL_ASCII, which has no characters at all, refuses to convert those that JSON escapes.
    is_ascii = isinstance(error, NotSupportedError) and "SQL_ASCII" in str(error)
    return is_ascii or _state(error.__cause__) in UNKNOWN_CHARACTER


def _state(error: BaseException | None) -> str | None:
    return getattr(error, "sqlstate", None)
