"""Alerts in the admin: incidents, rules, channels, and the delivery of each message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.alerts import IncidentState
from ...core.audit import Action
from ...core.exceptions import CronzimusError
from ...models import AlertRule, Channel, Delivery, Incident
from .. import display
from ..base import BaseAdmin, ReadOnlyAdmin, actor_of
from ..filters import FieldFilter
from ..request_time import request_now, row_now
from .forms import EVENTS, ChannelForm, RuleForm


class StateFilter(FieldFilter):
    """Incidents by their state."""

    title = "State"
    parameter_name = "state"
    values = tuple(IncidentState)


class IncidentAdmin(ReadOnlyAdmin):
    """Incidents: a streak of failures is one. They open and recover by themselves; people acknowledge them."""

    list_display = ("about", "kind", "state", "count", "error_line", "opened", "recovered", "acknowledged_by")
    list_filter = (StateFilter,)
    search_fields = ("job__id", "error__has_text")
    actions = ("acknowledge",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        """Return the incidents, the newest first."""
        return super().get_queryset(request).order_by("-opened_at", "-id")

    def has_change_incident_permission(self, request: HttpRequest) -> bool:
        """Operators acknowledge incidents."""
        return bool(request.user.has_perm("cronzimus.change_incident"))

    @admin.action(description="Acknowledge", permissions=["change_incident"])
    def acknowledge(self, request: HttpRequest, incidents: QuerySet[Incident]) -> None:
        """Take incidents on: they are not repeated any more."""
        for pk in incidents.values_list("pk", flat=True):
            try:
                services.acknowledge_incident(pk, now=request_now(request), actor=actor_of(request))
            except CronzimusError as error:
                self.message_user(request, str(error), messages.WARNING)

    @admin.display(description="Job", ordering="job_id")
    def about(self, row: Incident) -> str:
        """Show which job an incident is about."""
        return row.job_id or "all schedulers"

    @admin.display(description="Error")
    def error_line(self, row: Incident) -> str:
        """Show the newest error."""
        return display.first_line(row.error)

    @admin.display(description="Opened", ordering="opened_at")
    def opened(self, row: Incident) -> SafeString | str:
        """Show since when."""
        return _instant(row.opened_at, row)

    @admin.display(description="Recovered", ordering="recovered_at")
    def recovered(self, row: Incident) -> SafeString | str:
        """Show until when."""
        return _instant(row.recovered_at, row)


class RecordedAdmin(BaseAdmin):
    """Rows that only the admin writes: each change goes into the audit."""

    actions_on_record: ClassVar[tuple[Action, Action, Action]]
    """Added, changed, removed."""

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Put a change on record."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the row, and put on record what the form changed."""
        super().save_model(request, obj, form, change)
        added, changed, _ = self.actions_on_record
        names = form.changed_data if change else [name for name, value in form.cleaned_data.items() if value]
        before = form.initial if change else {}
        changes = {name: (_plain(before.get(name)), _plain(form.cleaned_data.get(name))) for name in names}
        self.record(changed if change else added, obj.name, now=request_now(request), changes=changes)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row, and put that on record."""
        with transaction.atomic():
            self.record(self.actions_on_record[2], obj.name, now=request_now(request))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete rows one by one, so that each is on record."""
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)


def _plain(value: Any) -> Any:
    """Return the value of a form's field as it is put on record: rows by their names."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)


class AlertRuleAdmin(RecordedAdmin):
    """Rules: who is told of what."""

    actions_on_record = (Action.RULE_ADDED, Action.RULE_UPDATED, Action.RULE_REMOVED)

    form = RuleForm
    list_display = ("name", "enabled", "about", "told_of", "channel_names")
    search_fields = ("name__has_text", "tag__has_text")
    filter_horizontal = ("channels",)
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("About", {"fields": ("job", "tag"), "description": "One job, the jobs with a tag, or without both all jobs."}),
        ("When", {"fields": ("events", "after", "too_long_seconds", "too_long_factor", "deadline")}),
        ("Who", {"fields": ("channels",)}),
        ("Quiet hours", {"fields": ("quiet_from", "quiet_until", "timezone")}),
    )

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Put a change of a rule on record."""
        services.record_rule(action, name, now=now, changes=changes)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        """Return the rules with their channels."""
        return super().get_queryset(request).prefetch_related("channels")

    @admin.display(description="About")
    def about(self, row: AlertRule) -> str:
        """Show which jobs a rule is about."""
        return f"job {row.job_id}" if row.job_id else f"tag {row.tag}" if row.tag else "all jobs"

    @admin.display(description="Tells of")
    def told_of(self, row: AlertRule) -> str:
        """Show the events."""
        events = row.events if isinstance(row.events, list) else []
        return ", ".join(str(event).replace("_", " ") for event in EVENTS if event.value in events)

    @admin.display(description="Channels")
    def channel_names(self, row: AlertRule) -> str:
        """Show the channels."""
        return ", ".join(channel.name for channel in row.channels.all())


class ChannelAdmin(RecordedAdmin):
    """Channels: where messages go."""

    actions_on_record = (Action.CHANNEL_ADDED, Action.CHANNEL_UPDATED, Action.CHANNEL_REMOVED)

    form = ChannelForm
    list_display = ("name", "kind", "enabled", "rule_count")
    search_fields = ("name__has_text",)
    actions = ("send_test",)

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Put a change of a channel on record."""
        services.record_channel(action, name, now=now, changes=changes)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Return the channels with the number of their rules."""
        channels: QuerySet[Channel] = super().get_queryset(request).annotate(rule_number=Count("rules"))
        return channels

    @admin.action(description="Send a test", permissions=["change"])
    def send_test(self, request: HttpRequest, channels: QuerySet[Channel]) -> None:
        """Send each channel a message that says that it is a test."""
        for channel in channels:
            services.send_test(channel, now=request_now(request))
        self.message_user(request, "A test message is queued; Deliveries shows whether it arrived.")

    @admin.display(description="Rules")
    def rule_count(self, row: Channel) -> int:
        """Show how many rules use a channel."""
        return int(vars(row)["rule_number"])


class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries: each message with its attempts."""

    list_display = ("id", "reason", "text", "channel", "state", "attempts", "created", "delivered", "answer")
    list_select_related = ("channel",)
    search_fields = ("channel__name__has_text", "incident__job__id")
    fields = ("channel", "incident", "reason", "state", "attempts", "response", "seconds", "created_at", "message")
    readonly_fields = fields
    actions = ("send_again",)

    def has_change_delivery_permission(self, request: HttpRequest) -> bool:
        """Administrators send messages again."""
        return bool(request.user.has_perm("cronzimus.change_delivery"))

    @admin.action(description="Send again", permissions=["change_delivery"])
    def send_again(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        """Send messages once more."""
        for delivery in deliveries:
            services.send_again(delivery, now=request_now(request))

    @admin.display(description="Message")
    def text(self, row: Delivery) -> str:
        """Show what a message says."""
        data = row.payload.get("data", {}) if isinstance(row.payload, dict) else {}
        return display.first_line(str(data.get("text", "")))

    @admin.display(description="Message")
    def message(self, row: Delivery) -> SafeString:
        """Show the whole message."""
        return format_html("<pre class='block'>{}</pre>", json.dumps(row.payload, indent=2, ensure_ascii=False))

    @admin.display(description="Created", ordering="created_at")
    def created(self, row: Delivery) -> SafeString | str:
        """Show when it was written."""
        return _instant(row.created_at, row)

    @admin.display(description="Delivered", ordering="delivered_at")
    def delivered(self, row: Delivery) -> SafeString | str:
        """Show when it arrived."""
        return _instant(row.delivered_at, row)

    @admin.display(description="Answer")
    def answer(self, row: Delivery) -> str:
        """Show what the last attempt came to."""
        return display.first_line(row.response)


def _instant(at: datetime | None, row: Any) -> SafeString | str:
    return display.instant(at, row_now(row), ZoneInfo(settings.TIME_ZONE))
