"""Schedulers: the `runscheduler` processes, each with a heartbeat and a lease, and how others wake them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, models
from django.db.models import F, Q

from ..core.zone_data import used_data
from .fields import ActorField, BrokerField

CHANNEL = "cronzimus"
"""The channel of PostgreSQL's NOTIFY."""
FARTHEST = timedelta(seconds=30)
"""The longest lease. A longer one was written before the clock was set back."""


def announce() -> None:
    """Wake every scheduler when the current transaction commits, or at once outside of a transaction.

    PostgreSQL delivers a NOTIFY at commit and merges equal ones (its manual, NOTIFY). On SQLite nothing is sent: the
    schedulers watch `PRAGMA data_version`.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


class LeaseQuerySet(models.QuerySet[Any]):
    """Queries for the leases of schedulers and workers."""

    def alive(self, now: datetime) -> LeaseQuerySet:
        """Return the rows that run and hold their lease at `now`."""
        return self.filter(stopped_at__isnull=True, lease_until__gt=now)

    def dead(self, now: datetime) -> LeaseQuerySet:
        """Return the rows that did not stop, and whose lease is over at `now` or longer than any lease can be."""
        over = Q(lease_until__lte=now) | Q(lease_until__gt=now + FARTHEST)
        return self.filter(over, stopped_at__isnull=True)


class SchedulerQuerySet(LeaseQuerySet):
    """Queries for schedulers."""

    def with_other_zone_data(self, now: datetime) -> LeaseQuerySet:
        """Return schedulers alive at `now` with other time zone data than this process: fire times may differ."""
        return self.alive(now).exclude(zone_data=used_data().version).order_by("pk")


class Scheduler(models.Model):
    """One `runscheduler` process. Its hold on its runs counts until `lease_until`, which each heartbeat moves on.

    Since `drained_at` it claims nothing: a person told it so. `clock_skew` is the seconds by which its machine's
    clock is ahead of the database's, and `memory` the bytes that the process holds, without its child processes.
    """

    id = models.CharField(primary_key=True, max_length=150)
    hostname = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=40)
    zone_data = models.CharField("time zone data", max_length=40, blank=True, default="")
    broker = BrokerField()
    threads = models.PositiveSmallIntegerField()
    processes = models.PositiveSmallIntegerField(default=0)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)
    queued_runs = models.PositiveIntegerField(default=0)
    running_runs = models.PositiveIntegerField(default=0)
    drained_at = models.DateTimeField(null=True, blank=True)
    drained_by = ActorField()
    clock_skew = models.FloatField(default=0)
    memory = models.BigIntegerField(null=True, blank=True)

    objects = SchedulerQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-started_at",)
        indexes = (
            # Read at every heartbeat, to find dead schedulers. Stopped ones have no entry.
            models.Index(F("lease_until"), name="cronzimus_scheduler_lease", condition=Q(stopped_at__isnull=True)),
        )

    def __str__(self) -> str:
        return self.id

    def is_alive(self, now: datetime) -> bool:
        """Tell whether it holds its lease at `now`: the rule of `LeaseQuerySet.alive`, if it has not stopped."""
        return self.lease_until is not None and self.lease_until > now  # None: damaged, on SQLite

    @property
    def slots(self) -> int:
        """The number of runs that it can run at the same time."""
        return (self.threads or 0) + (self.processes or 0)  # None: damaged, on SQLite
