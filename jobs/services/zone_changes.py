"""Recompute next fire times after a change of the site's time zone or of the time zone data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db import transaction

from ..core.exceptions import InvalidTrigger
from ..core.zone_data import used_data
from ..models import Control, Job, announce
from .schedule import first_fire_time

logger = logging.getLogger("cronzimus.services.zone_changes")

BATCH = 500
"""Jobs of one transaction."""


def follow_time_zones(*, now: datetime) -> int:
    """Move the next fire times that were computed with another `TIME_ZONE` or other time zone data.

    Call it when a scheduler starts. A fire time that is due already stays due: it was right when it came. Return the
    number of moved fire times, 0 if nothing has changed since the last call.
    """
    zone, data = settings.TIME_ZONE, used_data().version
    control, _ = Control.objects.get_or_create(pk=1, defaults={"time_zone": zone, "zone_data": data})
    before = (control.time_zone, control.zone_data)
    if before == (zone, data):
        return 0
    # "" means that no scheduler has run on this database: the processes that saved the jobs computed the fire times.
    moved = _move_all(now) if before != ("", "") else 0
    Control.objects.filter(pk=1).update(time_zone=zone, zone_data=data)
    if before != ("", ""):
        logger.warning(
            "time zone %s, data %s (before: %s, data %s): %d next fire times moved",
            zone, data or "unknown", before[0], before[1] or "unknown", moved, extra={"action": "zone_changed"},
        )  # fmt: skip
    return moved


def _move_all(now: datetime) -> int:
    moved, last = 0, ""
    while jobs := list(Job.objects.filter(next_run_time__gt=now, pk__gt=last).order_by("pk")[:BATCH]):
        moved += _move(jobs, now)
        last = jobs[-1].pk
    return moved


@transaction.atomic
def _move(jobs: Sequence[Job], now: datetime) -> int:
    moved = 0
    for job in jobs:
        try:
            at = first_fire_time(job, max(now, job.paused_until or now))
        except InvalidTrigger:
            continue  # the scheduler shows such a job as broken
        if at != job.next_run_time:
            # Another scheduler, or a person, may have moved it meanwhile.
            moved += Job.objects.filter(pk=job.pk, next_run_time=job.next_run_time).update(next_run_time=at)
    if moved:
        announce()
    return moved
