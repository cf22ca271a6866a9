"""Deliveries in the admin: each message with its attempts and the receiver's answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.alerts import DeliveryState, Reason
from ...models import Channel, Delivery, Incident
from .. import display
from ..base import model_url
from ..filters import OptionFilter, field_filter
from ..row_action_views import bulk_actions
from ..row_actions import Call, RowAction, stored
from ..tables import Column, Content, Empty, Facts, FactsAdmin
from ..times import NOTHING, Times, duration
from .tabs import AlertsAdmin, badge


class ChannelFilter(OptionFilter):
    """Deliveries by their channel."""

    title = parameter_name = "channel"
    field = "channel__name"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the channels."""
        return Channel.objects.values_list("name", flat=True)


def _text(row: Delivery, times: Times | None = None) -> str:
    data = row.payload.get("data", {}) if isinstance(row.payload, dict) else {}
    return display.first_line(str(data.get("text", ""))) or f"Message {row.pk}"


def _took(row: Delivery, times: Times) -> str:
    return NOTHING if row.seconds is None else duration(timedelta(seconds=row.seconds))


def _next(row: Delivery, times: Times) -> Content:
    waits = row.state == DeliveryState.PENDING and row.next_attempt_at is not None
    return format_html("next {}", times.ago(row.next_attempt_at)) if waits and row.attempts else ""


def _send_again(delivery_id: Any, call: Call) -> SafeString:
    delivery = stored(Delivery, delivery_id)
    services.send_again(delivery, now=call.now)
    return format_html("{} to {}", delivery.reason, delivery.channel)


class DeliveryAdmin(FactsAdmin, AlertsAdmin):
    """The list of deliveries, the newest first, and the page of one."""

    list_filter = (field_filter("state", DeliveryState), field_filter("reason", Reason), ChannelFilter)
    list_select_related = ("channel",)
    search_fields = ("channel__name__has_text", "incident__job__id")
    placeholder = "Channel or job"
    empty = Empty(icon="bell", title="No message yet", text="Each message and its attempts show here.")
    columns = (
        Column("text", "Message", _text, lambda row, times: display.first_line(row.response)),
        Column("state", "State", lambda row, times: badge(row.state)),
        Column("reason", "Why", lambda row, times: row.reason),
        Column("channel", "Channel", lambda row, times: str(row.channel), lambda row, times: row.channel.kind),
        Column("attempts", "Attempts", lambda row, times: f"{row.attempts}", _next, "num"),
        Column("created", "Written", lambda row, times: times.ago(row.created_at),
               lambda row, times: times.at(row.created_at, seconds=False), "nowrap"),
        Column("took", "Answered in", _took, look="num extra"),
    )  # fmt: skip
    row_actions = {
        "again": RowAction(label="Send again", done="Queued again", permissions=("change_delivery",), do=_send_again)
    }
    actions = bulk_actions(row_actions)

    def has_change_delivery_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may send messages again."""
        return bool(request.user.has_perm("cronzimus.change_delivery"))

    def row_title(self, row: Delivery) -> str:
        """Return its message."""
        return _text(row)

    def logged_row(self, key: Any) -> Delivery | None:
        """Return the delivery, whose log gets the entries of actions."""
        return Delivery.objects.filter(pk=key).first()

    def facts(self, request: HttpRequest, row: Delivery, times: Times) -> Facts:
        """Return the facts of a delivery, and the whole message."""
        message = json.dumps(row.payload, indent=2, ensure_ascii=False)
        shown = format_html('<pre tabindex="0" role="region" aria-label="Message">{}</pre>', message)
        texts = [("Message", shown)]
        if row.response:
            texts.insert(0, ("Last answer", format_html('<pre tabindex="0">{}</pre>', row.response)))
        return Facts(badge=badge(row.state, pill=True), facts=list(self._facts(row, times)), texts=texts)

    def _facts(self, row: Delivery, times: Times) -> Iterator[tuple[str, Content]]:
        url = model_url(self.admin_site, Channel, "change", row.channel_id)
        yield "Channel", format_html('<a href="{}">{}</a>, {}', url, row.channel, row.channel.get_kind_display())
        if row.incident_id is not None:
            url = model_url(self.admin_site, Incident, "change", row.incident_id)
            yield "Incident", format_html('<a href="{}">{}</a>', url, str(row.incident_id))
        yield "Why", row.reason
        yield "Written", times.at(row.created_at)
        yield "Attempts", f"{row.attempts}"
        if row.state == DeliveryState.PENDING and row.next_attempt_at is not None:
            yield "Next attempt", times.ago(row.next_attempt_at)
        yield "Delivered", times.at(row.delivered_at) if row.delivered_at else "not yet"
        yield "Answered in", _took(row, times)
