"""Statistics of runs, which stay when the runs are pruned."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import StoredJSON


class RunTotal(models.Model):
    """The number of runs of a job that ended with a status since the beginning, and the end of the last one."""

    job_id = models.CharField(max_length=64)
    status = models.CharField(max_length=16)
    count = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint("job_id", "status", name="cronzimus_run_total_once"),)

    def __str__(self) -> str:
        return f"{self.job_id} {self.status}: {self.count}"


class RunHour(models.Model):
    """The same number for the fire times of one hour, for charts; old hours are pruned."""

    job_id = models.CharField(max_length=64)
    hour = models.DateTimeField()
    status = models.CharField(max_length=16)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = (models.Index("hour", name="cronzimus_run_hour"),)
        constraints = (models.UniqueConstraint("job_id", "hour", "status", name="cronzimus_run_hour_once"),)

    def __str__(self) -> str:
        return f"{self.job_id} {self.hour:%Y-%m-%d %H} UTC {self.status}: {self.count}"


class Measured(models.Model):
    """The runs of all jobs that ended with a status: their number, durations and start delays.

    `durations` and `delays` are histograms: the number of runs in each bucket of `core.statistics`. `fire_times` is the
    number of fire times that the runs stand for.
    """

    status = models.CharField(max_length=16)
    count = models.PositiveBigIntegerField(default=0)
    fire_times = models.PositiveBigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    durations = StoredJSON(default=list)
    delay_seconds = models.FloatField(default=0)
    delays = StoredJSON(default=list)

    class Meta:
        abstract = True


class SiteTotal(Measured):
    """The runs of all jobs since the beginning, so that metrics need not add up the totals of jobs."""

    class Meta:
        constraints = (models.UniqueConstraint("status", name="cronzimus_site_total_once"),)

    def __str__(self) -> str:
        return f"{self.status}: {self.count}"


class SiteHour(Measured):
    """The runs of all jobs with a fire time in one hour, for charts; old hours are pruned."""

    hour = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint("hour", "status", name="cronzimus_site_hour_once"),)

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} UTC {self.status}: {self.count}"


class RollUp(models.Model):
    """The one row that says which runs the statistics have: all up to `counted`, except the `Uncounted` ones.

    `seen` is the newest run at the instant `seen_at`: later runs may still be part of an open transaction.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    counted = models.BigIntegerField(default=0)
    seen = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(id=1), name="cronzimus_roll_up_is_one_row"),)

    def __str__(self) -> str:
        return f"up to run {self.counted}"


class Uncounted(models.Model):
    """A run that had not ended when the statistics passed it, and is added once it has."""

    run_id = models.BigIntegerField(primary_key=True)

    def __str__(self) -> str:
        return f"run {self.run_id}"
