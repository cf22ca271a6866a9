"""The addresses of the shell: preferences, the command palette, and polls of other apps' pages."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST

from ...models import Job, Run
from ...selectors.run_search import run_number
from ..pages import page_context, poll_response
from ..row_action_views import next_url
from ..times import COOKIE, is_zone

YEAR = 365 * 86_400  # seconds
FOUND = 8
"""Jobs that the palette offers."""


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the addresses of the shell of `site`."""
    views = ((live, require_GET), (palette, require_GET), (preferences, require_POST))
    return [
        path(f"{view.__name__}/", site.admin_view(only(partial(view, site))), name=f"cronzimus_{view.__name__}")
        for view, only in views
    ]


def live(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Answer a poll with only the parts of the shell: the page that asks keeps its title."""
    context = page_context(site, request, title="")
    return poll_response(request, render_to_string("cronzimus/fragment.html", context, request))


def preferences(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Keep the chosen time zone in a cookie, and go back to the page."""
    zone = request.POST.get("zone", "")
    if zone not in ("utc", "job") and not is_zone(zone):
        return HttpResponseBadRequest("zone must be utc, job or the name of a time zone")
    back = next_url(request) or reverse(f"{site.name}:index")
    response = HttpResponseRedirect(back)
    path = settings.SESSION_COOKIE_PATH
    response.set_cookie(COOKIE, zone, YEAR, path=path, secure=request.is_secure(), httponly=True, samesite="Lax")
    return response


def palette(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Return the matches of the typed words `q`: pages, a run, jobs, and the actions on the first job."""
    words = request.GET.get("q", "").strip().replace("\0", "")[:100]
    entries = [*_pages(request, site, words), *_run(request, site, words), *_jobs(request, site, words)]
    response = JsonResponse({"entries": entries})
    response["Cache-Control"] = "no-store"
    return response


def _pages(request: HttpRequest, site: AdminSite, words: str) -> list[dict[str, Any]]:
    shell = site.each_context(request)["shell"]
    items = [item for group in shell.navigation for item in group.items]
    return [_entry(item.label, "page", item.url) for item in items if words.lower() in item.label.lower()]


def _run(request: HttpRequest, site: AdminSite, words: str) -> list[dict[str, Any]]:
    number = run_number(words.removeprefix("#"))
    admin: Any = site._registry.get(Run)
    if number is None or admin is None or not admin.has_view_permission(request):
        return []
    run = Run.objects.filter(pk=number).only("job_id", "status").first()
    if run is None:
        return []
    return [_entry(f"Run {run.pk}", f"{run.job_id}, {run.get_status_display()}", admin.page_url("change", run.pk))]


def _jobs(request: HttpRequest, site: AdminSite, words: str) -> list[dict[str, Any]]:
    admin: Any = site._registry.get(Job)
    if not words or admin is None or not admin.has_view_permission(request):
        return []
    match = Q(id__has_text=words) | Q(name__has_text=words)
    jobs = list(Job.objects.filter(match).only("id", "name", "paused", "paused_until").order_by("pk")[:FOUND])
    entries = [_entry(job.pk, _name(job), admin.page_url("change", job.pk)) for job in jobs]
    allowed = admin.allowed(request) if jobs else ()
    for job in jobs[:1]:
        for name in ("run", "resume" if job.paused else "pause"):
            if name in allowed:
                label = f"{admin.row_actions[name].label}: {job.pk}"
                entries.append({**_entry(label, "action", admin.page_url(name, job.pk)), "post": True})
    return entries


def _name(job: Job) -> str:
    return "job" if job.name == job.pk else job.name


def _entry(label: str, hint: str, url: str) -> dict[str, Any]:
    return {"label": label, "hint": hint, "url": url}
