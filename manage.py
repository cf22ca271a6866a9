#!/usr/bin/env python
"""Cronzimus from the command line: `manage.py help` lists the commands."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def end(number: int, frame: FrameType | None) -> None:
    """End at once with one line."""
    os.write(2, b"cronzimus: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, end)  # while modules load, Ctrl-C would show where

from django.conf import settings  # noqa: E402
from django.core.exceptions import ImproperlyConfigured  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.db import DatabaseError, OperationalError  # noqa: E402


def main() -> None:
    """Run the command that the arguments name; stop with a plain message if a setting or the database is wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cronzimus_site.settings")
    try:
        settings.INSTALLED_APPS  # noqa: B018 (read the settings here: Django would call the command unknown)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"cronzimus: {error}")
    except DatabaseError as error:
        # SQLite raises `DatabaseError` itself for a file that is damaged, or not a database.
        if type(error) is not DatabaseError and not isinstance(error, OperationalError):
            raise
        sys.exit(f"cronzimus: {_database()}: {error}")
    except KeyboardInterrupt:
        end(signal.SIGINT, None)


def _database() -> str:
    """Return the words for the database in a message, without what is secret of its URL."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return f"the database file {database['NAME']}"
    return f"the database {database['NAME']} on {database['HOST'] or 'this machine'}"


if __name__ == "__main__":
    main()
