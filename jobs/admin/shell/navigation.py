"""The sidebar: the pages that the user may see, and the counts beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group as AuthGroup
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from ...models import AlertRule, AuditEvent, Channel, Delivery, Incident, Job, Run, Scheduler, Token
from ..base import model_url
from ..routes import api_url
from ..status import Status


@dataclass(frozen=True, slots=True)
class Count:
    """A number beside a page: its meaning in words, an icon before it, and whether it is bad."""

    number: int
    words: str
    icon: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A page in the sidebar."""

    label: str
    icon: str
    url: str
    current: bool
    counts: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together, under a title; the first group has none."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the sidebar, for users who may see the rows of its model.

    `also` are the models of neighbouring pages, to which other users are led. `route` names a page of the API.
    """

    label: str
    icon: str
    model: type[Model]
    name: str
    also: tuple[type[Model], ...] = ()
    route: str = ""


def _pages() -> dict[str, tuple[Page, ...]]:
    return {
        "": (
            Page("Overview", "home", Job, "overview"),
            Page("Jobs", "jobs", Job, "changelist"),
            Page("Runs", "runs", Run, "changelist"),
            Page("Timeline", "timeline", Run, "timeline"),
            Page("Upcoming", "upcoming", Job, "upcoming"),
            Page("Failures", "warning", Run, "failures"),
            Page("Schedulers", "servers", Scheduler, "changelist"),
        ),
        "Manage": (
            Page("Alerts", "bell", Incident, "changelist", (AlertRule, Channel, Delivery)),
            Page("Tokens", "key", Token, "changelist"),
            Page("Users", "user", get_user_model(), "changelist", (AuthGroup,)),
            Page("Audit", "audit", AuditEvent, "changelist"),
            Page("Import and export", "swap", Job, "transfer"),
        ),
        "Help": (
            Page("API", "book", Job, "changelist", route="docs"),
            Page("About", "info", Scheduler, "about"),
        ),
    }


def navigation(site: AdminSite, request: HttpRequest, status: Status | None) -> list[Group]:
    """Return the pages of `site` that the user may see, by group.

    Without a `status` there are no counts, and no pages of other apps: a host has a menu of its own.
    """
    counts = {} if status is None else _counts(status)
    groups = []
    for title, pages in _pages().items():
        if status is None:
            pages = tuple(page for page in pages if page.model._meta.app_label == Job._meta.app_label)
        items = tuple(_items(site, request, pages, counts))
        if items:
            groups.append(Group(title, items))
    return groups


def _counts(status: Status) -> dict[str, tuple[Count, ...]]:
    jobs, runs, alive = status.jobs, status.runs, len(status.alive)
    return {
        "Jobs": (Count(jobs.active, "active"), *((Count(jobs.paused, "paused", "pause"),) if jobs.paused else ())),
        "Runs": (Count(runs.running, "running", "spin"),) if runs.running else (),
        "Failures": (Count(jobs.failing, "jobs failing", bad=True),) if jobs.failing else (),
        "Schedulers": (Count(alive, "alive", bad=not alive),),
    }


def _items(
    site: AdminSite, request: HttpRequest, pages: tuple[Page, ...], counts: dict[str, tuple[Count, ...]]
) -> Iterator[Item]:
    index = reverse(f"{site.name}:index")
    for page in pages:
        urls = [url for model in (page.model, *page.also) if (url := _url(site, request, model, page))]
        if urls:
            current = any(_is_current(request.path, index, url, page) for url in urls)
            yield Item(page.label, page.icon, urls[0], current, counts.get(page.label, ()))


def _url(site: AdminSite, request: HttpRequest, model: type[Model], page: Page) -> str:
    """Return the address of a page, "" if the site has none, or the user may not see the model's rows."""
    admin = site._registry.get(model)
    if admin is None or not admin.has_view_permission(request):
        return ""
    if page.route:
        return api_url(page.route)
    try:
        return model_url(site, model, page.name)
    except NoReverseMatch:
        return ""


def _is_current(path: str, index: str, url: str, page: Page) -> bool:
    if page.name == "overview":
        return path in (url, index)
    if page.name != "changelist":
        return path == url
    # The pages of a row belong to the list; `OWN_ENTRIES` have their own entries.
    return path == url or (path.startswith(url) and path[len(url) :].partition("/")[0] not in OWN_ENTRIES)


OWN_ENTRIES = {"overview", "upcoming", "timeline", "failures", "about", "transfer"}
"""The parts of addresses that belong to entries of their own."""
