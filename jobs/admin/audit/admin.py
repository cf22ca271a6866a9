"""The audit in the admin: who did what. Nobody adds, changes or deletes an entry."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.audit import Action, Door
from ...models import AuditEvent, Job
from .. import display
from ..base import ReadOnlyAdmin, model_url, row_site
from ..filters import FieldFilter
from ..request_time import row_now

COUNTED = 10_000
"""Entries that the list pages through."""
MAX_SHOWN = 200
"""Characters of one value in the list; the page of an entry shows all of it."""


class ActionFilter(FieldFilter):
    """Entries by what was done."""

    title = "Action"
    parameter_name = "action"
    values = tuple(Action)


class DoorFilter(FieldFilter):
    """Entries by how the change came in."""

    title = "Door"
    parameter_name = "door"
    values = tuple(Door)


@admin.display(description="When")
def when(event: AuditEvent) -> SafeString | str:
    """Return when it was done."""
    return display.instant(event.at, row_now(event), ZoneInfo(settings.TIME_ZONE))


@admin.display(description="Who")
def who(event: AuditEvent) -> SafeString:
    """Return who did it, by which door, with which token, and from where."""
    by = f"{event.door}, token {event.token}…" if event.token else event.door
    where = f" from {event.address}" if event.address else ""
    return format_html('{} <span class="quiet">{}{}</span>', event.actor or "unknown", by, where)


@admin.display(description="What")
def what(event: AuditEvent) -> str:
    """Return what was done."""
    return Action(event.action).words if event.action in list(Action) else event.action


@admin.display(description="Job")
def about(event: AuditEvent) -> SafeString | str:
    """Return the job that it is about; what was removed since has no page."""
    if not event.job_id:
        return display.NOTHING
    if not vars(event).get("job_exists"):
        return event.job_id
    return format_html('<a href="{}">{}</a>', model_url(row_site(event), Job, "change", event.job_id), event.job_id)


@admin.display(description="Changes")
def changes_in_brief(event: AuditEvent) -> SafeString | str:
    """Return the changes, long values cut."""
    return changes_table(event.changes, MAX_SHOWN)


@admin.display(description="Changes")
def changes_in_full(event: AuditEvent) -> SafeString | str:
    """Return the changes."""
    return changes_table(event.changes, None)


def changes_table(changes: Any, longest: int | None) -> SafeString | str:
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


class CappedPaginator(Paginator):
    """Counts to `COUNTED` and no further: older entries are reached by filters and the search."""

    @cached_property
    def count(self) -> int:
        """How many entries there are to page through."""
        found = self.object_list
        return found.order_by().values("pk")[:COUNTED].count() if isinstance(found, QuerySet) else len(found)


class AuditEventAdmin(ReadOnlyAdmin):
    """The list of entries, the newest first, and the page of one."""

    list_display: Any = (when, who, what, about, "object_id", changes_in_brief)
    list_filter = (ActionFilter, DoorFilter)
    search_fields = ("actor", "job_id")
    search_help_text = "Search for the exact name of a person or the id of a job."
    fields: ClassVar[Any] = (when, who, what, about, "object_id", changes_in_full, "request_id")
    ordering = ("-at", "-id")
    sortable_by: ClassVar[Any] = ()
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """Search by whole names, which have indexes."""
        words = search_term.strip()
        return (queryset.filter(Q(actor=words) | Q(job_id=words)) if words else queryset), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Return the entries, each with whether its job still exists."""
        jobs = Job.objects.filter(pk=OuterRef("job_id"))
        events: QuerySet[AuditEvent] = super().get_queryset(request).annotate(job_exists=Exists(jobs))
        return events
