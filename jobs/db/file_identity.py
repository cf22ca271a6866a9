"""Notice that SQLite's file, or its log, was replaced or deleted under an open connection, whose writes would be lost.

The log (`-wal`) holds what was written of late. SQLite deletes it when the last connection is closed, and never before.
"""

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
    """Tell whether a connection's file and its log are still those at their paths. True for other databases."""
    opened = vars(connection).get("opened_file")
    if opened is None:
        return True
    path = connection.settings_dict["NAME"]
    # A connection opens the log when it first reads, so that the log is known from the first question on.
    log = vars(connection)["opened_log"] = vars(connection).get("opened_log") or _identity(f"{path}-wal")
    return opened == _identity(path) and log == _identity(f"{path}-wal")


def _remember(sender: Any, connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        vars(connection).update(opened_file=_identity(connection.settings_dict["NAME"]), opened_log=None)


def _leave_old_files(sender: Any, **kwargs: Any) -> None:
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.in_atomic_block and not is_current(connection):
            connection.close()


def _identity(path: Any) -> tuple[int, int] | None:
    """Return the device and the inode of a file, or None without one."""
    try:
        status = os.stat(path)
    except (OSError, TypeError, ValueError):
        return None
    return status.st_dev, status.st_ino
