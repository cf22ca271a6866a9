"""The audit in the admin. Nobody adds, changes or deletes an entry."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join

from ...core.audit import Action, Door
from ...models import AuditEvent, Job
from .. import display, export
from ..base import model_url, row_site
from ..filters import InstantFilter, SpanFilter, field_filter
from ..request_time import request_now
from ..tables import Column, Content, Empty, Facts, FactsAdmin
from ..times import Times

MAX_SHOWN = 200
"""Characters of one value in the list; the page of an entry shows all of it."""
EXPORTED = (
    "id", "at", "actor", "door", "token", "address", "request_id", "action", "job_id", "object_id", "changes",
)  # fmt: skip
"""The columns of an export."""


class TimeFilter(SpanFilter):
    """Entries of a time up to now."""

    title = "when"
    field = "at"
    spans = ("1h", "24h", "7d", "30d")


class FromFilter(InstantFilter):
    """Entries at an instant or later. The form below the list's search names it."""

    title = parameter_name = "from"
    field = "at__gte"
    is_tab = True  # an input, not a chip


class ToFilter(InstantFilter):
    """Entries before an instant."""

    title = parameter_name = "to"
    field = "at__lt"
    end = True
    is_tab = True


def _when(event: AuditEvent, times: Times) -> Content:
    return times.ago(event.at)


def _who(event: AuditEvent, times: Times | None = None) -> Content:
    return event.actor or "unknown"


def _door(event: AuditEvent, times: Times | None = None) -> str:
    """Return the door, the token and the address of an entry."""
    by = f"{event.door}, token {event.token}…" if event.token else event.door
    return f"{by} from {event.address}" if event.address else by


def _what(event: AuditEvent, times: Times | None = None) -> str:
    return Action(event.action).words if event.action in list(Action) else event.action


def _job(event: AuditEvent, times: Times | None = None) -> Content:
    """Return the job of an entry, with a link if it still exists."""
    if not event.job_id or not vars(event).get("job_exists"):
        return event.job_id
    return format_html('<a href="{}">{}</a>', model_url(row_site(event), Job, "change", event.job_id), event.job_id)


def _about(event: AuditEvent, times: Times | None = None) -> Content:
    return _job(event) or event.object_id or display.NOTHING


def _object(event: AuditEvent, times: Times | None = None) -> str:
    return event.object_id if event.job_id else ""


def changes_table(changes: Any, longest: int | None) -> Content:
    """Return changes as a list of fields, each with the value before and the value after."""
    if not isinstance(changes, dict) or not changes:
        return display.NOTHING
    rows = ((name, *(_value(value, longest) for value in pair)) for name, pair in changes.items())
    item = '<div><dt>{}</dt><dd><del><span class="visually-hidden">before: </span>{}</del> '
    item += '<ins><span class="visually-hidden">after: </span>{}</ins></dd></div>'
    return format_html('<dl class="changes">{}</dl>', format_html_join("", item, rows))


def _value(value: Any, longest: int | None) -> str:
    if value is None:
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text or '""'
    return text if longest is None or len(text) <= longest else f"{text[:longest]}…"


class AuditEventAdmin(FactsAdmin):
    """The list of entries, the newest first, and the page of one."""

    change_list_template = "cronzimus/audit.html"
    heading = "Audit"
    about = "What people did, by every door. Nobody changes or deletes an entry."
    placeholder = "Exact name of a person, or id of a job"
    empty = Empty(
        icon="audit",
        title="Nothing on record yet",
        text="Each change of a job and each run that somebody asked for leaves an entry.",
    )
    list_filter = (TimeFilter, field_filter("action", Action), field_filter("door", Door), FromFilter, ToFilter)
    search_fields = ("actor", "job_id")
    ordering = ("-at", "-id")
    columns = (
        Column("what", "What", _what),
        Column("about", "About", _about, _object),
        Column("who", "Who", _who, _door),
        Column("changes", "Changes", lambda event, times: changes_table(event.changes, MAX_SHOWN), look="full"),
        Column("when", "When", _when, lambda event, times: times.at(event.at), "nowrap"),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Search by whole names, which have indexes."""
        words = search_term.strip()
        return (queryset.filter(Q(actor=words) | Q(job_id=words)) if words else queryset), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Return the entries, annotated with whether the job still exists."""
        jobs = Job.objects.filter(pk=OuterRef("job_id"))
        events: QuerySet[AuditEvent] = super().get_queryset(request).annotate(job_exists=Exists(jobs))
        return events

    def row_title(self, row: AuditEvent) -> str:
        """Return its action and its object."""
        return f"{_what(row)}: {row.job_id or row.object_id}".removesuffix(": ")

    def own_urls(self) -> list[URLPattern]:
        """Return the addresses of the exports."""
        return [
            *(self.get(f"export/{kind}/", partial(self.export_view, kind=kind), f"export_{kind}")
              for kind in export.KINDS),
            *super().own_urls(),
        ]  # fmt: skip

    def exports(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the kinds of files, with the filters of the list."""
        query = request.GET.urlencode()
        return [(kind.upper(), f"{self.page_url(f'export_{kind}')}?{query}") for kind in export.KINDS]

    def export_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Answer with the filtered entries as a file."""
        self.require(request, "view")
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters as error:
            raise BadRequest from error
        rows = found.values(*EXPORTED).iterator(chunk_size=1000)
        return export.download(kind, "audit", EXPORTED, rows, request_now(request))

    def table(self, request: HttpRequest, changelist: Any) -> dict[str, Any]:
        """Add the inputs of the two instants."""
        given = {name: request.GET.get(name, "") for name in ("from", "to")}
        found = super().table(request, changelist)
        hidden = [pair for pair in found["hidden"] if pair[0] not in given]
        return {**found, "hidden": hidden, "given_from": given["from"], "given_to": given["to"]}

    def facts(self, request: HttpRequest, row: AuditEvent, times: Times) -> Facts:
        """Return the whole entry."""
        changes = format_html('<div class="panel-body">{}</div>', changes_table(row.changes, None))
        facts: list[tuple[str, Content]] = [
            ("When", times.exact(row.at)), ("Who", _who(row)), ("Door", row.door),
            *([("Token", f"{row.token}…")] if row.token else []), *([("Address", row.address)] if row.address else []),
            ("What", _what(row)), *([("Job", _job(row))] if row.job_id else []),
            *([("About", row.object_id)] if row.object_id else []),
            *([("Request", row.request_id)] if row.request_id else []),
        ]  # fmt: skip
        return Facts(facts=facts, texts=[("Changes", changes)])
