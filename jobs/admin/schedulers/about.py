"""The page about the site: versions, checks, optional parts, the size of its data, and a bundle of all that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse

from ...conf import conf
from ...selectors import about
from ...selectors.doctor import findings
from .. import display
from ..pages import page
from ..request_time import request_now
from ..routes import api_url
from ..times import NOTHING, Times

RESULTS = {"ok": ("succeeded", "check"), "warning": ("missed", "warning"), "error": ("failed", "cross")}
"""The class that gives the colour of a finding, and its icon."""
LINKS = (("Description of the API", "docs"), ("The same in OpenAPI", "schema"), ("Health", "health"),
         ("Readiness", "ready"), ("Metrics", "metrics"))  # fmt: skip
"""The links of the page: the words, and the name of the route."""


def about_page(admin: Any, request: HttpRequest, *, may_support: bool) -> HttpResponse:
    """Show the page; with `may_support`, with a link to the bundle for support."""
    times = Times.of(request)
    context = {
        "versions": about.versions().items(),
        "findings": [(display.badge(*_look(one.result)), one.check, one.finding) for one in findings(times.now)],
        "parts": about.parts(),
        "sizes": _sizes(times),
        "retention": list(_retention(times)),
        "links": [(words, url) for words, name in LINKS if (url := api_url(name))],
        "bundle_url": admin.page_url("bundle") if may_support else "",
    }
    return page(admin.admin_site, request, "cronzimus/schedulers/about.html", title="About", live_url="", **context)


def bundle_file(request: HttpRequest) -> HttpResponse:
    """Answer with the bundle for support as a file."""
    now = request_now(request)
    text = json.dumps(about.bundle(now), indent=2, default=str, ensure_ascii=False)
    response = HttpResponse(text, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="cronzimus-support-{now:%Y%m%dT%H%M%SZ}.json"'
    response["Cache-Control"] = "no-store"
    return response


def _look(result: str) -> tuple[str, str, str]:
    kind, icon = RESULTS[result]
    return kind, result, icon


def _sizes(times: Times) -> list[tuple[str, Any]]:
    found = about.sizes()
    runs = f"more than {about.MAX_COUNTED:,}" if found.runs is None else f"{found.runs:,}"
    return [
        ("Database", display.megabytes(found.size)),
        ("Jobs", f"{found.jobs:,}"), ("Runs on record", runs),
        ("Oldest run", times.ago(found.oldest) if found.oldest else NOTHING),
    ]  # fmt: skip


def _retention(times: Times) -> Iterator[tuple[str, str]]:
    """Yield what is kept, and the runs that a shorter time would free, by name."""
    found = about.retention(times.now)
    yield "Runs", f"{found.limited:,} of {found.limited + found.unlimited:,} jobs limit theirs"
    for older in found.older:
        number = f"more than {about.MAX_OLDER:,}" if older.runs is None else f"{older.runs:,}" if older.runs else "none"
        yield f"Older than {older.days} days", number
    yield "Audit", f"{conf.AUDIT_DAYS:,} days"
    yield "Alerts", f"{conf.ALERT_DAYS:,} days"
    yield "Versions of a job", f"{conf.JOB_VERSIONS:,}"
