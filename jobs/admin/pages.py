"""Our own pages: one template each, sent whole to a browser, and in part to a poll of the same address."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from .request_time import request_now
from .times import Times

LIVE_HEADER = "X-Cronzimus-Live"
"""The header with which live.js asks for the parts of a page that change."""
# A poll that finds nothing new gets 304. So the tag leaves out parts that differ in each answer without being news:
# relative times, which the script counts on itself, the tokens of forms, and the server's clock.
_PASSING = re.compile(
    r"(?<=<time data-ago)([^>]*>)[^<]*|(?<=<span data-since)([^>]*>)[^<]*"
    r'|name="csrfmiddlewaretoken" value="[^"]*"|data-server-now="[^"]*"'
)


def is_poll(request: HttpRequest) -> bool:
    """Tell whether live.js asks, and not a person."""
    return LIVE_HEADER in request.headers


def page_context(site: AdminSite, request: HttpRequest, **context: Any) -> dict[str, Any]:
    """Return the context of a page of ours: `context`, and the data of the frame."""
    poll = is_poll(request)
    return {
        **site.each_context(request),
        "frame": "cronzimus/fragment.html" if poll else "admin/base_site.html",
        "live_url": request.get_full_path(),
        "times": Times.of(request),
        **context,
    }


def page(site: AdminSite, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    """Answer `request` with a page of ours. The context needs a `title`."""
    found = page_context(site, request, **context)
    if is_poll(request):
        return poll_response(request, render_to_string(template, found, request))
    request.current_app = site.name
    return TemplateResponse(request, template, found)


def _kept(match: re.Match[str]) -> str:
    return match[1] or match[2] or ""


def poll_response(request: HttpRequest, html: str) -> HttpResponse:
    """Answer a poll with `html`, or 304 if the browser has it already; a header tells the server's time."""
    tag = f'"{hashlib.blake2b(_PASSING.sub(_kept, html).encode(), digest_size=12).hexdigest()}"'
    same = request.headers.get("If-None-Match") == tag
    response = HttpResponseNotModified() if same else HttpResponse(html)
    response["ETag"] = tag
    response["Cache-Control"] = "no-store"
    response["X-Cronzimus-Now"] = request_now(request).isoformat()
    return response
