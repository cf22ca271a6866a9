"""The product's site as an app, which makes the table of a cache in the database."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import Tags, register
from django.core.management import call_command
from django.db.models.signals import post_migrate

from .checks import check_trusted_proxies, check_variables

DATABASE_CACHE = "django.core.cache.backends.db.DatabaseCache"
"""The backend whose table has no migration: Django has the command createcachetable for it."""


class CronzimusSiteConfig(AppConfig):
    """The site, with its commands."""

    name = "cronzimus_site"

    def ready(self) -> None:
        """Make the cache's table with `migrate`, and write Python's warnings as lines of the log."""
        logging.captureWarnings(True)
        register(check_trusted_proxies, Tags.security, deploy=True)
        register(check_variables)
        # Of the app with the models: Django sends the signal only for such apps.
        post_migrate.connect(make_cache_table, sender=apps.get_app_config("cronzimus"))


def make_cache_table(*, using: str, **kwargs: Any) -> None:
    """Make the table of the cache, unless it exists (a receiver of `post_migrate`)."""
    if settings.CACHES["default"]["BACKEND"] == DATABASE_CACHE:
        call_command("createcachetable", database=using, verbosity=0)
