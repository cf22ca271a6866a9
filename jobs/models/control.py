"""The pause of all schedulers."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import ActorField


class Control(models.Model):
    """The one row that says whether all claiming is paused, since when, by whom and why."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    paused = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True)
    actor = ActorField()
    reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ()
        permissions = (("pause_all", "Can pause and resume everything"),)
        constraints = (models.CheckConstraint(condition=Q(id=1), name="control_is_one_row"),)

    def __str__(self) -> str:
        return "paused" if self.paused else "running"
