"""The instant of a request. The clock is read once for each request, so that a page shows one moment."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from ..core.clock import Clock, SystemClock

clock: Clock = SystemClock()
"""The clock of all pages."""


def request_now(request: HttpRequest) -> datetime:
    """Return the instant of `request`. The clock is read at the first call."""
    kept: dict[str, datetime] = vars(request)
    if "cronzimus_now" not in kept:
        kept["cronzimus_now"] = clock.now()
    return kept["cronzimus_now"]
