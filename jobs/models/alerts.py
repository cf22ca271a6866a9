"""Alerts: incidents, the rules that say who is notified, the channels, and each delivery."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ..core.alerts import AlertEvent, DeliveryState, IncidentKind, IncidentState
from .fields import ActorField, StoredJSON, choices_of


class IncidentQuerySet(models.QuerySet["Incident"]):
    """Queries for incidents."""

    def open(self) -> IncidentQuerySet:
        """Return the incidents that have not recovered, acknowledged or not (index `incident_open`)."""
        return self.exclude(state=IncidentState.RECOVERED)


class Incident(models.Model):
    """A streak of unsuccessful runs of one job, or another bad state of it, until it recovers.

    It outlives its job. `notified` has, by the id of a rule, the time and fingerprint of the rule's last notification.
    """

    job = models.ForeignKey(
        "Job", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="incidents"
    )
    kind = models.CharField(max_length=16, choices=choices_of(IncidentKind))
    state = models.CharField(max_length=16, choices=choices_of(IncidentState), default=IncidentState.OPEN)
    opened_at = models.DateTimeField()
    first_run = models.BigIntegerField(null=True)
    last_run = models.BigIntegerField(null=True)
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    # Runs in `count` from before its job was last resumed: `pause_after` does not count them again.
    forgiven = models.PositiveIntegerField(default=0)
    fingerprint = models.CharField(max_length=64, blank=True, default="")
    error = models.TextField(blank=True, default="")
    notified = StoredJSON(default=dict)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = ActorField()
    recovered_at = models.DateTimeField(null=True)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ("-opened_at", "-id")
        indexes = (
            models.Index("job", F("opened_at").desc(), name="cronzimus_incident_of_job"),
            models.Index(F("opened_at").desc(), name="cronzimus_incident_newest"),
            # Read by the pruner. Open incidents have no entry.
            models.Index("recovered_at", name="cronzimus_incident_over", condition=Q(recovered_at__isnull=False)),
        )
        constraints = (
            # The last guard of "one open incident of a kind"; its index finds the open ones.
            models.UniqueConstraint(
                "job", "kind", name="cronzimus_incident_open", condition=~Q(state=IncidentState.RECOVERED)
            ),
            models.CheckConstraint(condition=Q(kind__in=list(IncidentKind)), name="cronzimus_incident_kind_known"),
            models.CheckConstraint(condition=Q(state__in=list(IncidentState)), name="cronzimus_incident_state_known"),
        )

    def __str__(self) -> str:
        return f"{self.job_id or 'scheduler'}: {self.kind}"


class Channel(models.Model):
    """A recipient of alerts. `target` has e-mail addresses, a URL, or an Apprise URL; it may hold a secret."""

    EMAIL, WEBHOOK, APPRISE = "email", "webhook", "apprise"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=16, choices=[(EMAIL, "e-mail"), (WEBHOOK, "webhook"), (APPRISE, "Apprise")])
    target = models.TextField()
    secret = models.CharField(max_length=200, blank=True, default="", help_text="Signs webhooks (whsec_…).")
    previous_secret = models.CharField(
        max_length=200, blank=True, default="", help_text="Signs as well, while receivers change to the new secret."
    )
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """A rule that sends events of one job, of the jobs with a tag, or of all jobs, to some channels."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    job = models.ForeignKey("Job", models.DO_NOTHING, null=True, blank=True, db_constraint=False)
    tag = models.CharField(max_length=50, blank=True, default="")
    events = StoredJSON(default=list)
    after = models.PositiveSmallIntegerField(default=1, help_text="Unsuccessful runs in a row.")
    too_long_seconds = models.PositiveIntegerField(null=True, blank=True)
    too_long_factor = models.FloatField(
        null=True, blank=True, help_text="Times the 95th percentile of the job's last 50 successful runs."
    )
    deadline = models.TimeField(
        null=True, blank=True, help_text="A run must have succeeded by then, on days with a fire time."
    )
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64, blank=True, default="")
    channels = models.ManyToManyField(Channel, related_name="rules")

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(condition=Q(after__gte=1), name="cronzimus_alert_rule_after_positive"),
            models.CheckConstraint(
                condition=Q(too_long_factor__isnull=True) | Q(too_long_factor__gte=1),
                name="cronzimus_alert_rule_factor_from_one",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def applies_to(self, job_id: str | None, tags: object) -> bool:
        """Tell whether the rule is about a job with these tags; None stands for no job."""
        if job_id is None:
            return self.job_id is None and not self.tag
        if self.job_id is not None:
            return self.job_id == job_id
        return not self.tag or (isinstance(tags, list) and self.tag in tags)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of its deadline and its quiet hours.

        The site's, if the time zone data no longer has its own: the end of a run must not fail because of that.
        """
        try:
            return ZoneInfo(self.timezone or settings.TIME_ZONE)
        except (KeyError, OSError, ValueError):
            return ZoneInfo(settings.TIME_ZONE)

    def wants(self, event: AlertEvent) -> bool:
        """Tell whether the rule asks for `event`."""
        return isinstance(self.events, list) and event.value in self.events


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Queries for deliveries."""

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Return the deliveries to attempt at `now`, the longest due first (index `delivery_due`)."""
        return self.filter(state=DeliveryState.PENDING, next_attempt_at__lte=now).order_by("next_attempt_at")


class Delivery(models.Model):
    """One message to one channel, with its attempts: an outbox row, written in the transaction of its event."""

    channel = models.ForeignKey(Channel, models.CASCADE, related_name="deliveries")
    incident = models.ForeignKey(Incident, models.CASCADE, null=True, related_name="deliveries")
    rule = models.ForeignKey(AlertRule, models.SET_NULL, null=True)
    reason = models.CharField(max_length=16)
    payload = StoredJSON()
    state = models.CharField(max_length=16, choices=choices_of(DeliveryState), default=DeliveryState.PENDING)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    response = models.TextField(blank=True, default="", help_text="The answer to the last attempt, or its error.")
    seconds = models.FloatField(null=True, help_text="How long the last attempt took.")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        indexes = (
            # Read by the thread that delivers. Finished deliveries have no entry.
            models.Index("next_attempt_at", name="cronzimus_delivery_due", condition=Q(state=DeliveryState.PENDING)),
            # Read by the pruner.
            models.Index("created_at", name="cronzimus_delivery_oldest"),
        )
        constraints = (
            models.CheckConstraint(condition=Q(state__in=list(DeliveryState)), name="cronzimus_delivery_state_known"),
        )

    def __str__(self) -> str:
        return f"{self.reason} to {self.channel_id}"
