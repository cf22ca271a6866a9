"""Notice that SQLite's file was replaced or deleted under an open connection, whose writes would be lost."""

from __future__ import annotations

import os
from typing import Any

from django.core.signals import request_started
from django.db import connections
from django.db.backends.signals import connection_created


def watch_files() -> None:
    """Make each connection remember its file, and each request close connections to files that are gone."""
    connection_created.connect(_remember, dispatch_uid=__name__)
    request_started.connect(_leave_old_files, dispatch_uid=__name__)


def is_current(connection: Any) -> bool:
    """Tell whether a connection's file is still the one at its path. True for other databases."""
    opened = vars(connection).get("opened_file")
    return opened is None or opened == _identity(connection)


def _remember(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        vars(connection)["opened_file"] = _identity(connection)


def _leave_old_files(sender: Any, **kwargs: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.in_atomic_block and not is_current(connection):
            connection.close()


def _identity(connection: Any) -> tuple[int, int] | None:
    """Return the device and the inode of a connection's file, or None without one."""
    try:
        status = os.stat(connection.settings_dict["NAME"])
    except (OSError, TypeError, ValueError):
        return None
    return status.st_dev, status.st_ino
