"""The application: its functions are registered when Django starts, its mistakes found by system checks."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Cronzimus itself."""

    name = __package__
    label = "cronzimus"
    verbose_name = "Cronzimus"

    def ready(self) -> None:
        """Register the functions and the system checks. Raises `ImproperlyConfigured` for a wrong setting."""
        from . import checks
        from .functions import builtin, commands, registry  # noqa: F401 (the first two register their functions)

        checks.require_valid_settings()
        registry.discover()
        checks.register_checks()
