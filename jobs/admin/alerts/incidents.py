"""Incidents in the admin: streaks of failures and other bad states, which open and recover by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ... import services
from ...core.alerts import IncidentKind, IncidentState
from ...models import Delivery, Incident, Job, Run
from .. import display
from ..base import model_url
from ..filters import field_filter
from ..row_action_views import bulk_actions
from ..row_actions import Call, RowAction, stored
from ..tables import Column, Content, Empty, Facts, FactsAdmin
from ..times import NOTHING, Times, duration
from .tabs import AlertsAdmin, badge

KINDS = {
    IncidentKind.FAILURE: "its runs fail", IncidentKind.NOT_RUN: "did not run", IncidentKind.TOO_LONG: "takes too long",
    IncidentKind.DEADLINE: "missed its deadline", IncidentKind.SCHEDULER: "a scheduler was lost",
}  # fmt: skip
"""The words for the kinds of incidents."""
MESSAGES = 20
"""Messages that the page of an incident names."""


def about(row: Incident, times: Times | None = None) -> str:
    """Return the job of an incident."""
    return row.job_id or "all schedulers"


def kind_words(row: Incident, times: Times | None = None) -> str:
    """Return the words for its kind."""
    return KINDS.get(IncidentKind(row.kind), row.kind) if row.kind in list(IncidentKind) else row.kind


def _lasted(row: Incident, times: Times) -> Content:
    return times.elapsed(row.opened_at) if row.recovered_at is None else duration(row.recovered_at - row.opened_at)


def _acknowledge(incident_id: Any, call: Call) -> SafeString:
    incident = services.acknowledge_incident(stored(Incident, incident_id).pk, now=call.now)
    return format_html("{}: {}", about(incident), kind_words(incident))


class IncidentAdmin(FactsAdmin, AlertsAdmin):
    """The list of incidents, the newest first, and the page of one."""

    list_filter = (field_filter("state", IncidentState), field_filter("kind", IncidentKind))
    search_fields = ("job__id", "error__has_text")
    placeholder = "Job or error"
    empty = Empty(icon="check", title="No incident on record",
                  text="A streak of failures of one job is one incident: it opens and recovers by itself.")  # fmt: skip
    columns = (
        Column("about", "Job and error", about, lambda row, times: display.first_line(row.error)),
        Column("state", "State", lambda row, times: badge(row.state)),
        Column("kind", "What", kind_words),
        Column("count", "In a row", lambda row, times: f"{row.count:,}", look="num"),
        Column("opened", "Opened", lambda row, times: times.ago(row.opened_at),
               lambda row, times: times.at(row.opened_at, seconds=False), "nowrap"),
        Column("lasted", "Lasted", _lasted, look="num"),
        Column("acknowledged", "Acknowledged by", lambda row, times: row.acknowledged_by or NOTHING, look="extra"),
    )  # fmt: skip
    row_actions = {
        "acknowledge": RowAction(
            label="Acknowledge", done="Acknowledged", permissions=("change_incident",), do=_acknowledge
        )
    }
    actions = bulk_actions(row_actions)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Incident]:
        """Return the incidents, the newest first."""
        return super().get_queryset(request).order_by("-opened_at", "-id")

    def has_change_incident_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may acknowledge incidents."""
        return bool(request.user.has_perm("cronzimus.change_incident"))

    def offered(self, row: Incident, now: datetime) -> Iterable[str]:
        """Offer to acknowledge open incidents."""
        return ("acknowledge",) if row.state == IncidentState.OPEN else ()

    def row_title(self, row: Incident) -> str:
        """Return the job and the kind of incident."""
        return f"{about(row)}: {kind_words(row)}"

    def logged_row(self, key: Any) -> Incident | None:
        """Return the incident, whose log gets the entries of actions."""
        return Incident.objects.filter(pk=key).first()

    def row_links(self, request: HttpRequest, row: Incident) -> Iterable[tuple[str, str]]:
        """Link to the output of the last run."""
        if row.last_run is not None:
            yield "Output", model_url(self.admin_site, Run, "change", row.last_run)

    def facts(self, request: HttpRequest, row: Incident, times: Times) -> Facts:
        """Return the facts of an incident, and its messages."""
        return Facts(
            badge=badge(row.state, pill=True), facts=list(self._facts(row, times)),
            texts=[*([("Newest error", _pre(row.error))] if row.error else []), *self._messages(row, request, times)],
        )  # fmt: skip

    def _facts(self, row: Incident, times: Times) -> Iterator[tuple[str, Content]]:
        if row.job_id:
            url = model_url(self.admin_site, Job, "change", row.job_id)
            yield "Job", format_html('<a href="{}">{}</a>', url, row.job_id)
        yield "What", kind_words(row)
        yield "In a row", f"{row.count:,}"
        yield "Opened", times.at(row.opened_at)
        for name, run in (("First run", row.first_run), ("Last run", row.last_run)):
            if run is not None:
                url = model_url(self.admin_site, Run, "change", run)
                yield name, format_html('<a href="{}">{}</a>', url, str(run))
        yield "Last seen", times.at(row.last_at)
        yield "Recovered", times.at(row.recovered_at) if row.recovered_at else "not yet"
        yield "Lasted", _lasted(row, times)
        if row.acknowledged_at is not None:
            yield "Acknowledged", format_html("{} by {}", times.at(row.acknowledged_at), row.acknowledged_by or "?")

    def _messages(self, row: Incident, request: HttpRequest, times: Times) -> Iterator[tuple[str, SafeString]]:
        if not request.user.has_perm("cronzimus.view_delivery"):
            return
        found = Delivery.objects.filter(incident=row).select_related("channel").order_by("-id")[:MESSAGES]
        item = '<li><span class="grow"><a class="name" href="{}">{}</a></span><span>{}</span><span>{}</span></li>'
        rows = (
            (model_url(self.admin_site, Delivery, "change", one.pk), f"{one.channel} · {one.reason}",
             badge(one.state), times.at(one.created_at))
            for one in found
        )  # fmt: skip
        listed = format_html_join("", item, rows)
        nobody = format_html('<p class="panel-body quiet">{}</p>', "Nobody was told: no rule asks for it.")
        yield "Messages", format_html('<ul class="rows">{}</ul>', listed) if listed else nobody


def _pre(text: str) -> SafeString:
    return format_html('<pre tabindex="0">{}</pre>', text)
