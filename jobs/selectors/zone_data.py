"""Schedulers that use other time zone data than this process, and so compute other fire times."""

from __future__ import annotations

from datetime import datetime

from ..core.zone_data import used_data
from ..models import Scheduler


def schedulers_with_other_data(now: datetime) -> list[Scheduler]:
    """Return the schedulers alive at `now` whose time zone data has another version than this process's."""
    return list(Scheduler.objects.alive(now).exclude(zone_data=used_data().version).order_by("pk"))
