"""Wait for a database that does not answer yet, or lacks the tables of this version."""

from __future__ import annotations

import logging
import pkgutil
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from .. import migrations
from .errors import one_line
from .postgresql import pooling

Result = TypeVar("Result")

RETRY_SECONDS = 1.0
"""Time between two attempts."""
REPEAT_SECONDS = 60.0
"""Time after which the log repeats the reason for waiting."""


class NotYet(Exception):
    """Something is missing that may come later; the message names it."""


class Unusable(Exception):
    """The database will not do, however long one waits; the message says why."""


def require_tables() -> None:
    """Raise `NotYet` unless the database answers and has all tables, and `Unusable` if waiting is in vain."""
    try:
        missing = known_migrations() - applied_migrations()
    except OperationalError as error:
        connection.close()
        raise NotYet(f"the database does not answer: {one_line(error)}") from error
    except DatabaseError as error:
        raise Unusable(f"the database cannot be used: {one_line(error)}") from error
    if missing:
        raise NotYet("the database is not up to date; run: manage.py migrate")


def require_sessions() -> None:
    """Raise `Unusable` if a pooler between us and PostgreSQL hands each transaction to another connection.

    Settings and LISTEN belong to a connection: the loop's settings would reach other clients, and it would hear of no
    change.
    """
    if pooling.pools_transactions():
        raise Unusable(
            "the database is reached through a pooler in transaction mode (such as PgBouncer): schedulers and workers "
            "need connections of their own. Give them the address of PostgreSQL itself, or of a pool in session mode; "
            "the web may keep the pooler."
        )


def known_migrations() -> set[str]:
    """Return the names of the migrations of this version."""
    # Read off the files' names: Django's own check loads every migration of every app, and no process needs them.
    return {module.name for module in pkgutil.iter_modules(migrations.__path__)}


def applied_migrations() -> set[str]:
    """Return the names of the migrations that the database has."""
    return {name for app, name in MigrationRecorder(connection).applied_migrations() if app == "cronzimus"}


def wait(attempt: Callable[[], Result], logger: logging.Logger, check: Callable[[], None] = lambda: None) -> Result:
    """Return what `attempt` returns once it no longer raises `NotYet`; meanwhile log what is missing.

    `check` is called between two attempts: it raises an exception to end the wait.
    """
    began, told, told_at = time.monotonic(), "", 0.0
    while True:
        try:
            result = attempt()
        except NotYet as missing:
            if str(missing) != told or time.monotonic() - told_at >= REPEAT_SECONDS:
                told, told_at = str(missing), time.monotonic()
                logger.warning("waiting: %s", told, extra={"action": "start_waiting"})
            check()
            time.sleep(RETRY_SECONDS)
            check()
            continue
        if told:
            seconds = time.monotonic() - began
            logger.info("going on after %.0f s", seconds, extra={"action": "start_waited"})
        return result
