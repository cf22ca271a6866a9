"""The data of the shell. Each part is read when a template shows it for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import reverse

from ... import __version__
from ...conf import conf
from ...models import Job, Scheduler
from ...selectors.about import database
from ..base import model_url
from ..status import request_status
from ..times import Times, is_zone
from .api_call import ApiCall, api_call
from .banners import Banner, banners
from .navigation import Group, navigation

ENVIRONMENTS = {"production": "late", "staging": "busy", "development": "quiet", "test": "quiet"}
"""The tones of well-known environments; any other one is quiet."""


REFRESHES = [("auto", "auto"), ("off", "off"), *((str(s), f"{s} s") for s in (2, 5, 15, 30, 60))]
"""The intervals at which a page asks for news."""
KEYS = [
    (["/"], "Search on this page"), (["Ctrl", "K"], "Search or jump to anything"),
    (["g", "o"], "Overview"), (["g", "j"], "Jobs"), (["g", "r"], "Runs"), (["g", "t"], "Timeline"),
    (["g", "u"], "Upcoming"), (["g", "f"], "Failures"), (["g", "s"], "Schedulers"),
    (["n"], "New job"), (["j"], "Next row"), (["k"], "Previous row"), (["x"], "Select the row"),
    (["r"], "Refresh now"), (["."], "Refresh on or off"), (["t"], "Next theme"), (["?"], "This list"),
]  # fmt: skip
"""The keys and their actions, which shell.js implements."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A choice of the time zone switch."""

    label: str
    value: str
    chosen: bool
    title: str = ""
    browser: bool = False


class Shell:
    """The data of the shell's templates, of `site` for the user of `request`."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        """Keep the site and the request."""
        self._site = site
        self._request = request
        self.times = Times.of(request)
        self._status = request_status(request)

    @cached_property
    def shown(self) -> bool:
        """Whether the user may see the admin at all."""
        user = self._request.user
        return not isinstance(user, AnonymousUser) and self._site.has_permission(self._request)

    @property
    def alive(self) -> list[Scheduler]:
        """The schedulers that are alive."""
        return self._status.alive

    @cached_property
    def banners(self) -> list[Banner]:
        """The banners."""
        return banners(self._status, self.times)

    @cached_property
    def navigation(self) -> list[Group]:
        """The sidebar."""
        return navigation(self._site, self._request, self._status)

    @cached_property
    def failing(self) -> int:
        """The number of failing jobs, for the title and the icon of the page."""
        return self._status.jobs.failing

    @property
    def alive_words(self) -> str:
        """The schedulers that are alive, in words."""
        names = [str(scheduler.pk) for scheduler in self.alive]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} alive" if names else "no scheduler is alive"

    keys = KEYS
    refreshes = REFRESHES

    @property
    def zones(self) -> list[Zone]:
        """The time zone switch. A script fills in the browser's zone, unless it was chosen before."""
        choice = self.times.choice
        named = choice if is_zone(choice) else ""
        return [
            Zone("UTC", "utc", choice == "utc"),
            Zone("Job", "job", choice == "job", "Each time in the zone of its job"),
            Zone("Browser", named, bool(named), named, browser=True),
        ]

    @property
    def clock_zone(self) -> str:
        """The zone of the clock."""
        return self.times.zone().key

    @property
    def now(self) -> str:
        """The server's clock, from which the script counts on."""
        return self.times.now.isoformat()

    @property
    def live_url(self) -> str:
        """The address that other apps' pages poll."""
        return reverse(f"{self._site.name}:cronzimus_live")

    @property
    def palette_url(self) -> str:
        """The address of the command palette's search."""
        return reverse(f"{self._site.name}:cronzimus_palette")

    @property
    def preferences_url(self) -> str:
        """The address to which preferences are posted."""
        return reverse(f"{self._site.name}:cronzimus_preferences")

    @property
    def schedulers_url(self) -> str:
        """The address of the schedulers."""
        return model_url(self._site, Scheduler, "changelist")

    @property
    def jobs_url(self) -> str:
        """The address of the jobs."""
        return model_url(self._site, Job, "changelist")

    @cached_property
    def api_call(self) -> ApiCall | None:
        """The call of the API for this page."""
        jobs = self._site._registry.get(Job)
        may_see = jobs is not None and jobs.has_view_permission(self._request)
        return api_call(self._request, Job._meta.app_label) if may_see else None

    @property
    def environment(self) -> tuple[str, str] | None:
        """The name of the environment and its tone; None without a name."""
        name = str(conf.CRONZIMUS_ENV)
        return (name, ENVIRONMENTS.get(name.lower(), "quiet")) if name else None

    @property
    def initials(self) -> str:
        """Two letters that stand for the user."""
        user: Any = self._request.user
        words = (user.get_full_name() if hasattr(user, "get_full_name") else "").split() or [user.get_username()]
        letters = "".join(word[0] for word in words[:2]) if len(words) > 1 else words[0][:2]
        return letters.upper()

    @property
    def role(self) -> str:
        """The roles of the user."""
        user: Any = self._request.user
        if user.is_superuser:
            return "superuser"
        names = sorted(group.name.removeprefix("Cronzimus ") for group in user.groups.all())
        return ", ".join(names) or "no role"

    @property
    def versions(self) -> str:
        """The versions of Cronzimus and of the database."""
        return f"Cronzimus {__version__} · {database().partition('.')[0]}"
