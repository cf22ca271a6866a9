"""The Django application. On start it checks its settings and registers its functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, register
from django.db.models.signals import post_migrate


class JobsConfig(AppConfig):
    """The configuration of the app."""

    name = __package__
    label = "cronzimus"
    verbose_name = "Cronzimus"

    def ready(self) -> None:
        """Register functions and system checks. Raises `ImproperlyConfigured` for a wrong setting."""
        from . import checks
        from .db import connections, file_identity
        from .functions import builtin, commands, registry  # noqa: F401 (the first two register their functions)

        checks.require_valid_settings()
        connections.adapt_connections()
        file_identity.watch_files()
        registry.discover()
        checks.register_checks()
        register(_check_transport, "cronzimus")
        post_migrate.connect(_make_roles, sender=self, dispatch_uid="cronzimus.make_roles")


def _check_transport(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Report why no runs can be sent to workers, if they are to be (cronzimus.E008)."""
    from .conf import conf

    if not conf.CELERY_BROKER_URL:
        return []
    from .scheduler.executors import transport  # here: a site without workers does not load it

    return transport(conf.CELERY_BROKER_URL).check()


def _make_roles(sender: AppConfig, **kwargs: Any) -> None:
    from .services.roles import make_roles  # here: no other process needs it

    make_roles(sender, **kwargs)
