"""Recompute next fire times after a change of the site's time zone or of the time zone data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.db import transaction

from ..core.exceptions import InvalidTrigger
from ..core.runs import RunStatus
from ..core.zone_data import used_data
from ..definitions.skipped import save_skipped, skipped_run
from ..definitions.triggers import trigger_of
from ..models import Control, Job, Run, announce
from .schedule import first_fire_time

logger = logging.getLogger("cronzimus.services.zone_changes")

BATCH = 500
"""Jobs of one transaction."""
CHANGE_OF_CLOCK = timedelta(hours=3)
"""The most by which other data of the same zone may move a fire time."""


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
    moved = _move_all(now, before[0]) if before != ("", "") else 0
    Control.objects.filter(pk=1).update(time_zone=zone, zone_data=data)
    if before != ("", ""):
        logger.warning(
            "time zone %s, data %s (before: %s, data %s): %d next fire times moved",
            zone, data or "unknown", before[0], before[1] or "unknown", moved, extra={"action": "zone_changed"},
        )  # fmt: skip
    return moved


def _move_all(now: datetime, zone_before: str) -> int:
    moved, last = 0, ""
    while jobs := list(Job.objects.filter(next_run_time__gt=now, pk__gt=last).order_by("pk")[:BATCH]):
        moved += _move(jobs, now, zone_before)
        last = jobs[-1].pk
    return moved


@transaction.atomic
def _move(jobs: Sequence[Job], now: datetime, zone_before: str) -> int:
    moved, skipped = 0, _skipped(jobs, now)
    for job in jobs:
        try:
            for run in skipped[job.pk]:
                _skip_again(job, run, now, zone_before)
            at = first_fire_time(job, max(now, job.paused_until or now))
        except InvalidTrigger:
            continue  # the scheduler shows such a job as broken
        if at != job.next_run_time:
            # Another scheduler, or a person, may have moved it meanwhile.
            moved += Job.objects.filter(pk=job.pk, next_run_time=job.next_run_time).update(next_run_time=at)
    if moved:
        announce()
    return moved


def _skipped(jobs: Sequence[Job], now: datetime) -> dict[str, list[Run]]:
    """Return the runs of fire times to come that somebody has skipped, by job."""
    found: dict[str, list[Run]] = {job.pk: [] for job in jobs}
    runs = Run.objects.filter(job_id__in=list(found), status=RunStatus.SKIPPED, scheduled_time__gt=now)
    for run in runs.order_by("scheduled_time"):
        found[run.job_id].append(run)
    return found


def _skip_again(job: Job, run: Run, now: datetime, zone_before: str) -> None:
    """Skip the fire time to which the one of the skipped `run` has moved."""
    trigger, wanted = trigger_of(job), run.scheduled_time
    if not job.trigger.get("timezone") and zone_before in available_timezones():
        shown = wanted.astimezone(ZoneInfo(zone_before))
        wanted = shown.replace(tzinfo=ZoneInfo(settings.TIME_ZONE)).astimezone(UTC)
    # Other data may have moved it by a change of the clock.
    near = [trigger.latest_until(wanted), trigger.next_after(wanted)]
    at = min((at for at in near if at is not None), key=lambda at: abs(at - wanted), default=None)
    if at is not None and at > now and abs(at - wanted) <= CHANGE_OF_CLOCK:
        save_skipped(skipped_run(job, at, now=now, reason=run.reason, actor=run.actor))
