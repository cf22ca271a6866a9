"""The addresses of neighbouring pages: by cursor for runs and for the audit, by offset for jobs."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.utils.urls import remove_query_param, replace_query_param

from ..selectors.run_pages import Cursor


def cursor_link(request: Request, cursor: Cursor | None) -> str | None:
    """Return the address of the page at `cursor`, with the filters of this one."""
    if cursor is None:
        return None
    return replace_query_param(request.build_absolute_uri(), "cursor", str(cursor))


def link_header(request: Request, limit: int, offset: int, total: int) -> str:
    """Return the header Link (RFC 8288) of a page of `limit` at `offset` of `total`: first, prev, next and last."""
    last = max((total - 1) // limit * limit, 0)
    offsets = {"first": 0, "last": last}
    if offset > 0:
        offsets["prev"] = min(max(offset - limit, 0), last)
    if offset + limit < total:
        offsets["next"] = offset + limit
    return ", ".join(f'<{_at_offset(request, place)}>; rel="{name}"' for name, place in offsets.items())


def _at_offset(request: Request, offset: int) -> str:
    here = request.build_absolute_uri()
    return replace_query_param(here, "offset", str(offset)) if offset else remove_query_param(here, "offset")
