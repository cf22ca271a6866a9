"""/scheduler/audit: the actions of people, through every door."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from ...core.audit import Action, Door
from ...core.exceptions import InvalidRequest
from ...models import AuditEvent
from ...selectors.run_pages import all_rows, page_of, read_cursor
from .. import query
from ..access import access_of
from ..exports import EXPORTS, exported
from ..paging import cursor_link
from ..representations import utc
from .base import SchedulerView

DEFAULT_LIMIT, MAX_LIMIT = 50, 500
"""Entries on a page."""
PART = 1000
"""Entries of an export that are read at a time."""
FIELDS = ("id", "at", "actor", "door", "token", "address", "request_id", "action", "job_id", "object_id", "changes")
"""The fields of an entry, in their order."""


class AuditView(SchedulerView):
    """The audit, paged as runs are."""

    needs = {"get": ("view_auditevent",)}

    def get(self, request: Request) -> HttpResponseBase:
        """List the actions of people, the newest first, or export them."""
        zone = ZoneInfo(settings.TIME_ZONE)
        asked = query.query_of(request, {
            "limit": query.whole(1, MAX_LIMIT), "cursor": read_cursor, "format": query.one_of(("json", *EXPORTS)),
            "actor": query.text, "action": query.one_of(Action), "door": query.one_of(Door), "job": query.text,
            "since": query.instant(zone), "until": query.instant(zone, end=True),
        })  # fmt: skip
        events = _filtered(request, asked)
        if asked["format"] in EXPORTS:
            return _export(events, asked)
        page = page_of(events, FIELDS, asked["cursor"], asked["limit"] or DEFAULT_LIMIT, time="at")
        return Response(
            {
                "next": cursor_link(request, page.older),
                "previous": cursor_link(request, page.newer),
                "results": [_shown(row) for row in page.rows],
            }
        )


def _filtered(request: Request, asked: dict[str, Any]) -> QuerySet[AuditEvent]:
    names = {
        "actor": "actor", "action": "action", "door": "door", "job": "job_id", "since": "at__gte", "until": "at__lt"
    }  # fmt: skip
    conditions = {field: asked[name] for name, field in names.items() if asked[name] is not None}
    access, events = access_of(request), AuditEvent.objects.filter(**conditions)
    # A token with tags sees only the entries of the jobs that it reaches.
    return events if access.tags is None else events.filter(job_id__in=access.jobs().order_by().values("pk"))


def _export(events: QuerySet[AuditEvent], asked: dict[str, Any]) -> HttpResponseBase:
    if wrong := {name: "is for pages; an export has all entries" for name in ("limit", "cursor") if asked[name]}:
        raise InvalidRequest(fields=wrong)
    parts = ([_shown(row) for row in rows] for rows in all_rows(events, FIELDS, PART, time="at"))
    return exported("audit", asked["format"], parts, FIELDS)


def _shown(row: Sequence[Any]) -> dict[str, Any]:
    shown = dict(zip(FIELDS, row, strict=True))
    return shown | {"at": utc(shown["at"])}
