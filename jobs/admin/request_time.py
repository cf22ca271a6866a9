"""The instant of a request: the clock is read once for each, and everything on the page is of that moment."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Model
from django.http import HttpRequest

from ..core.clock import Clock, SystemClock

clock: Clock = SystemClock()
"""What the time of all pages is read from."""


def moment_of(request: HttpRequest) -> datetime:
    """Return the instant of `request`; the clock is read when it is first asked for."""
    kept: dict[str, datetime] = vars(request)
    if "moment" not in kept:
        kept["moment"] = clock.now()
    return kept["moment"]


def stamp(row: Model, request: HttpRequest) -> None:
    """Keep the instant of `request` with `row`: Django's columns are handed nothing but the row."""
    vars(row)["moment"] = moment_of(request)


def moment_at(row: Model) -> datetime:
    """Return the instant at which `row` is looked at."""
    moment: datetime = vars(row)["moment"]
    return moment
