"""The page of an instant of a job: why it ran or did not run, and what its policies would do then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from ...core.times import parse_instant
from ...models import Job
from ...selectors import states
from ...selectors.why import Answer, Explanation, explain
from ..pages import page
from ..runs.called import call_text
from ..times import Times
from ..why import why
from .foreseen import foreseen


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
    fire = _fire_time(found) if found else None
    context = {
        "foreseen": foreseen(job, fire) if fire else [], "fire": times.exact(fire, zone) if fire else "",
        "called": call_text(job), "to_come": found is not None and found.answer is Answer.TO_COME,
        "job": job, "asked": asked, "problem": problem, "zone": zone.key, "around": around,
        "why": why(found, job, times, admin.admin_site) if found else None, "back": admin.page_url("change", job.pk),
        "example": times.exact(times.now, zone)[:16],
    }  # fmt: skip
    return page(admin.admin_site, request, "cronzimus/jobs/why.html", title=f"Why did {job.pk} (not) run?", **context)


def _fire_time(found: Explanation) -> datetime | None:
    """Return the fire time at the instant, or else the next one after it."""
    return found.after if found.answer is Answer.NO_FIRE_TIME else found.at
