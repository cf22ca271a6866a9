"""The page that explains why a job ran, or did not run, at an instant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from ...core.times import parse_instant
from ...models import Job
from ...selectors import states
from ...selectors.why import explain
from ..pages import page
from ..times import Times
from ..why import why


def why_page(admin: Any, request: HttpRequest, job: Job) -> HttpResponse:
    """Explain the instant `at` of `job`, in the shown time zone; without one, ask for it."""
    times = Times.of(request)
    zone = times.zone(states.zone_of(job))
    asked, problem = request.GET.get("at", "").strip(), ""
    at: datetime | None = None
    if asked:
        try:
            at = parse_instant(asked, zone)
        except (ValueError, OverflowError) as error:
            problem = f"{str(error)[:1].upper()}{str(error)[1:]}."
    found = explain(job, job.pk, at, times.now) if at is not None else None
    around = [(name, times.exact(near, zone), f"?{urlencode({'at': near.isoformat().replace('+00:00', 'Z')})}")
              for name, near in (("Fire time before", found.before), ("Fire time after", found.after))
              if near is not None] if found else []  # fmt: skip
    context = {
        "job": job, "asked": asked, "problem": problem, "zone": zone.key, "around": around,
        "why": why(found, job, times, admin.admin_site) if found else None, "back": admin.page_url("change", job.pk),
        "example": times.exact(times.now, zone)[:16],
    }  # fmt: skip
    return page(admin.admin_site, request, "cronzimus/jobs/why.html", title=f"Why did {job.pk} (not) run?", **context)
