"""The function that Cronzimus runs in a burst; JOB_MODULES names this module."""

from __future__ import annotations

from jobs.registry import register


@register
def noop() -> None:
    """Do nothing."""
