"""The settings of the app: Django's setting `CRONZIMUS`, one dictionary, with a default for each of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

DEFAULTS: Mapping[str, Any] = {
    "API_AUTH": "",
    "JOBS": [],
    "JOB_COMMANDS": ["check", "clearsessions"],
    "JOB_DEFAULTS": {},
    "JOB_HTTP_ALLOWED_NETWORKS": [],
    "JOB_MODULES": [],
    "SCHEDULER_API_ENABLED": True,
    "SCHEDULER_PROCESSES": 2,
    "SCHEDULER_THREADS": 10,
}
"""What holds where `CRONZIMUS` does not name a key; docs/settings.md says what each is for."""


class Conf:
    """The settings by name: `conf.JOB_DEFAULTS`. Raises `AttributeError` for a name that is not in `DEFAULTS`."""

    def __getattr__(self, name: str) -> Any:
        """Return what the project says, or the default."""
        if name not in DEFAULTS:
            raise AttributeError(f"CRONZIMUS has no setting {name!r}")
        given: Mapping[str, Any] = getattr(settings, "CRONZIMUS", {})
        return given.get(name, DEFAULTS[name])


conf = Conf()
"""The settings of the app."""
