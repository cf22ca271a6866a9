"""Schedulers in the admin: which processes run the jobs, for reading only; and the pause of everything."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.utils.safestring import SafeString

from ...models import Scheduler
from .. import display
from ..request_time import moment_at
from .views import SchedulerViews

LOOKS = {"alive": "check", "dead": "cross", "stopped": "stop"}
"""The icons of a scheduler's states."""


def life(scheduler: Scheduler, now: datetime) -> str:
    """Return whether a scheduler is alive, dead or stopped at `now`, as `SchedulerQuerySet` has it."""
    if scheduler.stopped_at is not None:
        return "stopped"
    return "alive" if scheduler.is_alive(now) else "dead"


@admin.register(Scheduler)
class SchedulerAdmin(SchedulerViews):
    """The list of schedulers, the latest first."""

    list_display = (
        "id", "state", "heartbeat", "threads", "processes", "queued_runs", "running_runs", "started", "version",
    )  # fmt: skip
    fields = (
        "id", "state", "hostname", "pid", "version", "threads", "processes", "queued_runs", "running_runs",
        "started", "heartbeat", "lease", "stopped",
    )  # fmt: skip

    @admin.display(description="State")
    def state(self, scheduler: Scheduler) -> SafeString:
        """Return whether it is alive, as icon and word."""
        word = life(scheduler, moment_at(scheduler))
        return display.badge(word, word, LOOKS[word])

    @admin.display(description="Started", ordering="started_at")
    def started(self, scheduler: Scheduler) -> SafeString | str:
        """Return when it started."""
        return _instant(scheduler, "started_at")

    @admin.display(description="Heartbeat", ordering="heartbeat_at")
    def heartbeat(self, scheduler: Scheduler) -> SafeString | str:
        """Return when its last heartbeat was."""
        return _instant(scheduler, "heartbeat_at")

    @admin.display(description="Lease until")
    def lease(self, scheduler: Scheduler) -> SafeString | str:
        """Return until when its hold on its runs counts."""
        return _instant(scheduler, "lease_until")

    @admin.display(description="Stopped")
    def stopped(self, scheduler: Scheduler) -> SafeString | str:
        """Return when it stopped."""
        return _instant(scheduler, "stopped_at")


def _instant(scheduler: Scheduler, name: str) -> SafeString | str:
    return display.instant(getattr(scheduler, name), moment_at(scheduler), ZoneInfo(settings.TIME_ZONE))
