"""Versions: the earlier definitions of a job, and who changed them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ..core.audit import Door
from .fields import ActorField, StoredJSON


class JobVersion(models.Model):
    """The whole definition of a job after one change. It outlives its job, until `expires_at`.

    `number` is the `version` of the job at that time. A job that is added again under the same id goes on counting, so
    that a run's job and version name one definition. `reverted_to` is the version whose definition was restored.
    """

    job = models.ForeignKey("Job", models.DO_NOTHING, db_constraint=False, db_index=False, related_name="versions")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    actor = ActorField()
    door = models.CharField(max_length=16, choices=[(door.value, door.value) for door in Door])
    action = models.CharField(max_length=32)
    reverted_to = models.PositiveIntegerField(null=True)
    definition = StoredJSON()
    expires_at = models.DateTimeField(null=True, help_text="When the pruner deletes it: its job was removed.")

    class Meta:
        ordering = ("job_id", "-number")  # not by "job": that would join the jobs, and lose versions of removed ones
        default_permissions = ()
        indexes = (
            # Read by the pruner. Versions of existing jobs have no entry.
            models.Index("expires_at", name="cronzimus_version_expiry", condition=Q(expires_at__isnull=False)),
        )
        constraints = (models.UniqueConstraint("job", "number", name="cronzimus_version_once"),)

    def __str__(self) -> str:
        return f"{self.job_id} version {self.number}"
