"""Celery workers: the processes that run jobs on other machines, each with a heartbeat and a lease."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.db.models import F, Q

from .fields import BrokerField, StoredJSON
from .scheduler import LeaseQuerySet


class WorkerQuerySet(LeaseQuerySet):
    """Queries for workers."""

    def served_queues(self, now: datetime) -> frozenset[str]:
        """Return the queues that a worker serves, or served just now: until its lease ends, it may restart."""
        return queues_of(self.filter(lease_until__gt=now))


class Worker(models.Model):
    """One Celery worker of ours. Its hold on the runs that it started counts until `lease_until`.

    `slots` is the number of functions that it runs at once, without the slots whose process does not start, and 0 once
    it was told to stop. `queues` is empty if no process starts. `ahead` is the number of further runs that it wants in
    its queues, because its own end soon.
    """

    id = models.CharField(primary_key=True, max_length=150)
    name = models.CharField(max_length=150)
    hostname = models.CharField(max_length=100)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=40)
    broker = BrokerField()
    queues = StoredJSON(default=list)
    slots = models.PositiveSmallIntegerField()
    ahead = models.PositiveSmallIntegerField(default=0)
    running_runs = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True, blank=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        default_permissions = ()  # the page of schedulers shows them
        ordering = ("-started_at",)
        indexes = (
            # Read by schedulers that send runs to workers, for each claim. Stopped workers have no entry.
            models.Index(F("lease_until"), name="cronzimus_worker_lease", condition=Q(stopped_at__isnull=True)),
        )

    def __str__(self) -> str:
        return self.id

    def is_alive(self, now: datetime) -> bool:
        """Tell whether it holds its lease at `now`, if it has not stopped. It may have been told to stop."""
        return self.lease_until is not None and self.lease_until > now  # None: damaged, on SQLite

    def is_draining(self, now: datetime) -> bool:
        """Tell whether it is alive at `now`, and was told to stop. A worker without processes names no queues."""
        return self.is_alive(now) and not self.takes_runs(now) and bool(self.queues)

    def takes_runs(self, now: datetime) -> bool:
        """Tell whether it is alive at `now`, was not told to stop, and has processes."""
        return self.stopped_at is None and self.is_alive(now) and self.slots > 0


def queues_of(workers: Iterable[Worker]) -> frozenset[str]:
    """Return the queues of workers. A damaged row of SQLite, which may hold anything, has none."""
    return frozenset(str(queue) for worker in workers if isinstance(worker.queues, list) for queue in worker.queues)
