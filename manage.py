#!/usr/bin/env python
"""Cronzimus from the command line: `manage.py help` lists the commands."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError


def main() -> None:
    """Run the command that the arguments name; stop with a plain message if a setting or the database is wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cronzimus_site.settings")
    try:
        settings.INSTALLED_APPS  # noqa: B018 (read the settings here: Django would call the command unknown)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"cronzimus: {error}")
    except OperationalError as error:
        sys.exit(f"cronzimus: {_database()}: {error}")


def _database() -> str:
    """Return the words for the database in a message, without what is secret of its URL."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return f"the database file {database['NAME']}"
    return f"the database {database['NAME']} on {database['HOST'] or 'this machine'}"


if __name__ == "__main__":
    main()
