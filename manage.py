#!/usr/bin/env python
"""Cronzimus from the command line: `manage.py help` lists what there is."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    """Run the command that the arguments name; stop with a plain message where the settings are wrong."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cronzimus_site.settings")
    try:
        settings.INSTALLED_APPS  # noqa: B018 (read the settings here: Django would call the command unknown)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"cronzimus: {error}")


if __name__ == "__main__":
    main()
