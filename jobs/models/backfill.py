"""Backfills: runs for fire times of the past, a few at a time."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import ActorField

RUNNING, DONE, CANCELLED = "running", "done", "cancelled"


class Backfill(models.Model):
    """Runs of one job for its fire times from `start` to `end`.

    `queued_until` is the last fire time that was handled. `only_missing` leaves out fire times with a run that
    succeeded or is active.
    """

    job = models.ForeignKey("Job", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="backfills")
    start = models.DateTimeField()
    end = models.DateTimeField()
    only_missing = models.BooleanField(default=True)
    max_active = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(
        max_length=16, default=RUNNING, choices=[(name, name) for name in (RUNNING, DONE, CANCELLED)]
    )
    actor = ActorField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    queued_until = models.DateTimeField(null=True)
    fire_times = models.PositiveIntegerField(default=0)
    queued = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index("job", "id", name="cronzimus_backfill_of_job"),
            # Read by the schedulers. Ended backfills have no entry.
            models.Index("id", name="cronzimus_backfill_running", condition=Q(state=RUNNING)),
        )
        constraints = (
            models.CheckConstraint(condition=Q(max_active__gte=1), name="cronzimus_backfill_max_active_positive"),
            models.CheckConstraint(
                condition=Q(state__in=[RUNNING, DONE, CANCELLED]), name="cronzimus_backfill_state_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.job_id} {self.start:%Y-%m-%d %H:%M:%S} to {self.end:%Y-%m-%d %H:%M:%S} UTC"
