"""The pause of all schedulers, and the time zone data of the fire times."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import ActorField


class Control(models.Model):
    """The one row that says whether all claiming is paused, since when, by whom and why.

    `time_zone` and `zone_data` are the site's zone and the version of the time zone data with which the next fire times
    of all jobs were computed; empty until a scheduler has started.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    paused = models.BooleanField(default=False)
    paused_at = models.DateTimeField(null=True)
    actor = ActorField()
    reason = models.CharField(max_length=500, blank=True, default="")
    time_zone = models.CharField(max_length=100, blank=True, default="")
    zone_data = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        default_permissions = ()
        permissions = (("pause_all", "Can pause and resume everything"),)
        constraints = (models.CheckConstraint(condition=Q(id=1), name="cronzimus_control_is_one_row"),)

    def __str__(self) -> str:
        return "paused" if self.paused else "running"
