"""The site's own system checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning


def check_trusted_proxies(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of a site behind a proxy that nobody has named (cronzimus_site.W001)."""
    if not settings.HTTPS or settings.TRUSTED_PROXIES:
        return []
    message = "HTTPS is on, and TRUSTED_PROXIES is empty: all clients have the address of the proxy."
    hint = "Name the proxy, such as 127.0.0.1; or else failed logins of one person lock that user out for everybody."
    return [CheckWarning(message, hint=hint, id="cronzimus_site.W001")]


def check_variables(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of environment variables that have no effect and look like misspelt ones (cronzimus_site.W002)."""
    return [
        CheckWarning(
            f"The environment variable {name} has no effect.", hint=f"Did you mean {meant}?", id="cronzimus_site.W002"
        )
        for name, meant in settings.MISSPELT_VARIABLES.items()
    ]
