"""The dialog of a resume: the fire times of the pause, and the choice which of them to run now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme

from ...core.exceptions import CronzimusError
from ...core.runs import MissedChoice
from ...definitions.backfills import MAX_FIRE_TIMES
from ...definitions.triggers import trigger_of
from ...models import Job
from ...selectors import states
from ..lists import named
from ..pages import page
from ..request_time import request_now
from ..row_action_views import row_url
from ..times import Times

if TYPE_CHECKING:
    from .admin import JobAdmin

LISTED = 5
"""Fire times that the dialog names."""


def resume_dialog(admin: JobAdmin, request: HttpRequest, job: Job | None) -> HttpResponse:
    """Ask which fire times of the pause of `job` to run. The form leads to the action; nothing is saved here."""
    if job is None:
        raise Http404
    now, back = request_now(request), admin.page_url("change", job.pk)
    if not job.is_paused(now):
        admin.message_user(request, f"{job.pk} is not paused.")
        return HttpResponseRedirect(back)
    given = request.GET.get("next", "")
    safe = url_has_allowed_host_and_scheme(given, {request.get_host()}, require_https=request.is_secure())
    number, times = _fell_into_pause(job, now)
    context = {
        "job": job, "number": number, "words": _words(job, number, times, Times.of(request)),
        "choices": _choices(number), "action": row_url(job, "resume"), "back": given if safe else back,
    }  # fmt: skip
    return page(
        admin.admin_site, request, "cronzimus/jobs/resume.html", title=f"Resume {job.pk}", live_url="", opts=admin.opts,
        **context,
    )  # fmt: skip


def _fell_into_pause(job: Job, now: datetime) -> tuple[int, list[datetime]]:
    """Return the number of fire times in the pause, and the last few of them, the earliest first."""
    since: Any = job.paused_at or job.updated_at
    times: list[datetime] = []
    try:
        trigger = trigger_of(job)
        number, at = trigger.count(since, now), trigger.latest_until(now)
        while at is not None and at > since and len(times) < LISTED:
            times.insert(0, at)
            at = trigger.latest_until(at - at.resolution)
    except (CronzimusError, TypeError):  # a damaged row: the action itself reports the error
        return 0, []
    return number, times


def _words(job: Job, number: int, times: list[datetime], seen: Times) -> str:
    if not number:
        return "No fire time fell into the pause."
    zone = states.zone_of(job)
    listed = named([seen.short(at, zone, seconds=any(at.second for at in times)) for at in times])
    if number == 1:
        return f"One fire time fell into the pause: {listed}."
    if number > len(times):
        return f"{number:,} fire times fell into the pause, the last ones at {listed}."
    return f"{number:,} fire times fell into the pause: {listed}."


def _choices(number: int) -> list[tuple[str, str, str]]:
    """Return the value, the words, and the reason if it cannot be chosen (else ""), of each choice."""
    if not number:
        return []
    if number == 1:
        return [(MissedChoice.NONE.value, "None", ""), (MissedChoice.LAST.value, "The one", "")]
    too_many = f"at most {MAX_FIRE_TIMES:,} run at once" if number > MAX_FIRE_TIMES else ""
    return [
        (MissedChoice.NONE.value, "None", ""), (MissedChoice.LAST.value, "The last", ""),
        (MissedChoice.ALL.value, f"All {number:,}", too_many),
    ]  # fmt: skip
