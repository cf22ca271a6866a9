"""Alert rules and channels in the admin: who is notified of which events, and where messages go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.audit import Action
from ...models import AlertRule, Channel, Delivery
from .. import display
from ..request_time import request_now
from ..row_action_views import bulk_actions
from ..row_actions import Call, RowAction, stored
from ..tables import Column, Content, Empty
from ..times import NOTHING, Times
from .deliveries import DeliveryAdmin
from .forms import EVENTS, ChannelForm, RuleForm
from .incidents import IncidentAdmin
from .tabs import AlertsAdmin, badge

__all__ = ["AlertRuleAdmin", "ChannelAdmin", "DeliveryAdmin", "IncidentAdmin"]


class RecordedAdmin(AlertsAdmin):
    """Rows that only the admin writes, with an entry in the audit for each change."""

    actions_on_record: ClassVar[tuple[Action, Action, Action]]
    """Added, changed, removed."""

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Record a change in the audit."""
        raise NotImplementedError

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the row, and record the changes."""
        super().save_model(request, obj, form, change)
        added, changed, _ = self.actions_on_record
        names = form.changed_data if change else [name for name, value in form.cleaned_data.items() if value]
        before = form.initial if change else {}
        changes = {name: (_plain(before.get(name)), _plain(form.cleaned_data.get(name))) for name in names}
        self.record(changed if change else added, obj.name, now=request_now(request), changes=changes)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete the row, and record that."""
        with transaction.atomic():
            self.record(self.actions_on_record[2], obj.name, now=request_now(request))
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete rows one by one, so that each is recorded."""
        with transaction.atomic():
            for row in queryset:
                self.delete_model(request, row)

    def row_links(self, request: HttpRequest, row: Any) -> Iterable[tuple[str, str]]:
        """Link to the form."""
        if self.has_change_permission(request):
            yield "Edit", self.page_url("change", row.pk)


def _plain(value: Any) -> Any:
    """Return the value of a form's field for the audit: rows by their names."""
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)


def _off(row: Any, times: Times) -> Content:
    return row.name if row.enabled else format_html('{} <span class="tag">off</span>', row.name)


def _about(row: AlertRule, times: Times) -> Content:
    if row.tag:
        return format_html('jobs with <span class="tag">{}</span>', row.tag)
    return f"job {row.job_id}" if row.job_id else "all jobs"


def _event_words(row: AlertRule, times: Times) -> str:
    events = row.events if isinstance(row.events, list) else []
    return ", ".join(str(event).replace("_", " ") for event in EVENTS if event.value in events)


def _limit_words(row: AlertRule, times: Times) -> str:
    parts = [f"from {row.after} failures in a row"] if row.after > 1 else []
    parts += [f"longer than {row.too_long_seconds:,} s"] if row.too_long_seconds else []
    parts += [f"longer than {row.too_long_factor:g} × usual"] if row.too_long_factor else []
    parts += [f"by {row.deadline:%H:%M}"] if row.deadline else []
    return ", ".join(parts)


def _quiet(row: AlertRule, times: Times) -> str:
    if row.quiet_from is None or row.quiet_until is None:
        return NOTHING
    return f"{row.quiet_from:%H:%M} to {row.quiet_until:%H:%M}"


class AlertRuleAdmin(RecordedAdmin):
    """The pages of rules."""

    actions_on_record = (Action.RULE_ADDED, Action.RULE_UPDATED, Action.RULE_REMOVED)

    form = RuleForm
    search_fields = ("name__has_text", "tag__has_text")
    placeholder = "Name or tag"
    add_label = "New rule"
    empty = Empty(icon="bell", title="Nobody is told when jobs fail",
                  text="A rule names the events, the jobs, and the channels.")  # fmt: skip
    columns = (
        Column("name", "Rule", _off),
        Column("about", "About", _about),
        Column("told_of", "Tells of", _event_words, _limit_words),
        Column("channel_names", "To", lambda row, times: ", ".join(one.name for one in row.channels.all()) or NOTHING),
        Column("quiet", "Quiet hours", _quiet, lambda row, times: row.timezone, "extra nowrap"),
    )
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("About", {"fields": ("job", "tag"), "description": "One job, the jobs with a tag, or without both all jobs."}),
        ("When", {"fields": ("events", "after", "too_long_seconds", "too_long_factor", "deadline")}),
        ("Who", {"fields": ("channels",)}),
        ("Quiet hours", {"fields": ("quiet_from", "quiet_until", "timezone"),
                         "description": "Messages wait for their end, and are dropped if the incident recovers."}),
    )  # fmt: skip

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Record a change of a rule."""
        services.record_rule(action, name, now=now, changes=changes)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlertRule]:
        """Return the rules with their channels."""
        return super().get_queryset(request).prefetch_related("channels")

    def delete_effects(self, request: HttpRequest, row: AlertRule) -> list[str]:
        """Name the events without notifications from then on."""
        return [f"It no longer tells of {_event_words(row, Times.of(request))}.", "Messages that wait already go out."]


def where(channel: Channel) -> str:
    """Return the target of a channel without secret parts: the addresses, or the host."""
    if channel.kind == Channel.EMAIL:
        return display.first_line(channel.target.replace("\n", ", "))
    parts = urlsplit(channel.target.strip())
    host = (parts.hostname or "…") if channel.kind == Channel.WEBHOOK else "…"
    return f"{parts.scheme}://{host}"


def _rule_count(row: Channel, times: Times) -> Content:
    number = int(vars(row)["rule_number"])
    if not number:
        return format_html('<span class="quiet">{}</span>', "no rule")
    return "1 rule" if number == 1 else f"{number:,} rules"


def _last(row: Channel, times: Times) -> Content:
    state = vars(row)["last_state"]
    return badge(state) if state else format_html('<span class="quiet">{}</span>', "no message yet")


def _send_test(channel_id: Any, call: Call) -> SafeString:
    channel = stored(Channel, channel_id)
    services.send_test(channel, now=call.now)
    return format_html("{}; Deliveries shows whether it arrived", channel.name)


class ChannelAdmin(RecordedAdmin):
    """The pages of channels."""

    actions_on_record = (Action.CHANNEL_ADDED, Action.CHANNEL_UPDATED, Action.CHANNEL_REMOVED)

    form = ChannelForm
    search_fields = ("name__has_text",)
    placeholder = "Name"
    add_label = "New channel"
    empty = Empty(icon="bell", title="No channel yet", text="A channel is e-mail addresses, a webhook, or Apprise.")
    columns = (
        Column("name", "Channel", _off, lambda row, times: where(row)),
        Column("kind", "Kind", lambda row, times: row.get_kind_display()),
        Column("signed", "Signed", lambda row, times: "yes" if row.secret else NOTHING, look="extra"),
        Column("rule_count", "Used by", _rule_count),
        Column("last", "Last message", _last, lambda row, times: times.ago(vars(row)["last_at"]) if vars(row)[
            "last_at"] else ""),
    )  # fmt: skip
    row_actions = {
        "test": RowAction(label="Send a test", done="A test is queued", permissions=("change",), do=_send_test)
    }
    actions = bulk_actions(row_actions)

    def record(self, action: Action, name: str, *, now: datetime, changes: Any = None) -> None:
        """Record a change of a channel."""
        services.record_channel(action, name, now=now, changes=changes)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Return the channels, each with the number of its rules and its last message."""
        newest = Delivery.objects.filter(channel=OuterRef("pk")).order_by("-id")
        channels: QuerySet[Channel] = super().get_queryset(request)
        return channels.annotate(
            rule_number=Count("rules"), last_state=Subquery(newest.values("state")[:1]),
            last_at=Subquery(newest.values("created_at")[:1]),
        )  # fmt: skip

    def logged_row(self, key: Any) -> Channel | None:
        """Return the channel, whose log gets the entries of actions."""
        return Channel.objects.filter(pk=key).first()

    def aside(self, request: HttpRequest, obj: Any) -> str:
        """Show the message of a webhook."""
        return "cronzimus/alerts/webhook.html"

    def delete_effects(self, request: HttpRequest, row: Channel) -> list[str]:
        """Name the rules that use the channel, and its deliveries."""
        rules = list(row.rules.values_list("name", flat=True))
        named = f"Rules that lose it: {', '.join(rules)}." if rules else "No rule uses it."
        return [named, "Its deliveries are deleted, too."]
