"""The audit: the actions of people, through every door. Rows are added and pruned, and never changed."""

from __future__ import annotations

from django.db import models
from django.db.models import F

from ..core.audit import Door
from .fields import ActorField, StoredJSON


class AuditEvent(models.Model):
    """One action of somebody. A trigger of the database refuses every UPDATE.

    The actor is a text: it stays readable when the account is gone. `job_id` is the job of the action, "" for none;
    `object_id` is its other object: a run, a backfill, a token. `changes` has the values before and after, by field,
    with secrets masked.
    """

    at = models.DateTimeField()
    actor = ActorField()
    door = models.CharField(max_length=16, choices=[(door.value, door.value) for door in Door])
    token = models.CharField(max_length=16, blank=True, default="")
    address = models.CharField(max_length=120, blank=True, default="")
    request_id = models.CharField(max_length=128, blank=True, default="")
    action = models.CharField(max_length=32)
    job_id = models.CharField("job", max_length=64, blank=True, default="")
    object_id = models.CharField("object", max_length=100, blank=True, default="")
    changes = StoredJSON(default=dict)

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("view",)
        indexes = (
            models.Index(F("at").desc(), F("id").desc(), name="cronzimus_audit_newest"),
            models.Index("actor", F("at").desc(), F("id").desc(), name="cronzimus_audit_by_actor"),
            models.Index("action", F("at").desc(), F("id").desc(), name="cronzimus_audit_by_action"),
            models.Index("door", F("at").desc(), F("id").desc(), name="cronzimus_audit_by_door"),
            models.Index("job_id", F("at").desc(), F("id").desc(), name="cronzimus_audit_of_job"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.job_id or self.object_id}".strip()
