"""Prepare connections for Cronzimus: readable instants on PostgreSQL, case folding beyond ASCII on SQLite."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created

CASEFOLD = "cronzimus_casefold"
"""The SQL function for `folded`: SQLite's own functions fold only ASCII letters."""

FORMATS = {"DateStyle": "ISO", "IntervalStyle": "postgres"}
"""The settings of PostgreSQL without which psycopg cannot read an instant or an interval."""


def adapt_connections() -> None:
    """Register `CASEFOLD` on each SQLite connection, and set the formats that psycopg reads on each to PostgreSQL.

    On Django's own SQLite backend, also add immediate transactions and tolerant decoding.
    """
    connection_created.connect(_set_formats, dispatch_uid=f"{__name__}.formats")
    connection_created.connect(_add_casefold, dispatch_uid=f"{__name__}.casefold")
    connection_created.connect(_adapt, dispatch_uid=__name__)


def use_own_connections() -> None:
    """Give each thread of this process a connection of its own, in place of one from Django's pool.

    For processes that run functions, which have a fixed number of threads. With a pool (four connections by default),
    functions that hold connections would keep the scheduler from its own, and so from its heartbeats.
    """
    settings = connections.settings[DEFAULT_DB_ALIAS]
    if not settings["OPTIONS"].get("pool"):
        return
    connection: Any = connections[DEFAULT_DB_ALIAS]
    if connection.connection is not None:
        connection.close()
        connection.close_pool()
    del settings["OPTIONS"]["pool"]
    settings["CONN_MAX_AGE"], settings["CONN_HEALTH_CHECKS"] = 60, True


def folded(text: str) -> str:
    """Return a text for comparisons that ignore case, and whether an accent is a code point of its own."""
    return normalize("NFC", text.casefold())


def _set_formats(sender: Any, connection: Any, **kwargs: Any) -> None:
    """Set the formats of instants and intervals that psycopg reads, where the role or the database has others."""
    if connection.vendor != "postgresql":
        return
    # The server tells each client its formats, so that looking costs nothing. psycopg 2 sets them itself.
    info = connection.connection.info
    for name, wanted in FORMATS.items():
        if not (info.parameter_status(name) or wanted).startswith(wanted):
            with connection.cursor() as cursor:
                cursor.execute(f"SET {name} TO {wanted}")


def _add_casefold(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_function(CASEFOLD, 1, _casefold, deterministic=True)


def _casefold(value: object) -> str:
    # A damaged row may hold any value; one that is not text contains no text.
    return folded(value) if isinstance(value, str) else ""


def _adapt(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor != "sqlite" or connection.alias != DEFAULT_DB_ALIAS:
        return
    from django.db.backends.sqlite3.operations import DatabaseOperations

    from .sqlite3 import base, operations

    if isinstance(connection, base.DatabaseWrapper):
        return
    if connection.transaction_mode is None:
        # In SQLite's own mode, a transaction that reads first and writes after another has written fails at once: the
        # busy timeout applies at the beginning of a transaction, and not to a lock that it takes later.
        connection.transaction_mode = "IMMEDIATE"
    connection.connection.text_factory = operations.decoded
    if type(connection.ops) is DatabaseOperations:
        connection.ops = operations.GuestOperations(connection)
