"""The addresses at which all claiming is paused and resumed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from ... import services
from ...selectors import backlog
from .. import display
from ..base import ReadOnlyAdmin
from ..pausing import PauseAllForm, all_paused
from ..request_time import moment_of

PERMISSIONS = ("cronzimus.change_scheduler", "cronzimus.change_control")
"""The permissions of which one is enough to pause and resume everything."""


class SchedulerViews(ReadOnlyAdmin):
    """Adds the two addresses, and what the list shows of them."""

    def get_urls(self) -> list[Any]:
        """Return our addresses before Django's, whose last one matches everything."""
        views = (("pause", self.pause_view), ("resume", self.resume_view))
        own = [
            path(f"all/{name}/", self.admin_site.admin_view(require_POST(view)), name=f"cronzimus_scheduler_{name}_all")
            for name, view in views
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may pause everything may see what that would pause."""
        return super().has_view_permission(request, obj) or may_pause_all(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it what waits, and whether all is paused, with what changes that."""
        now = moment_of(request)
        context = {**(extra_context or {}), "all_paused": all_paused(), "backlog": figures(now)}
        if may_pause_all(request):
            context |= {
                "pause_form": PauseAllForm(),
                "pause_url": reverse("admin:cronzimus_scheduler_pause_all"),
                "resume_url": reverse("admin:cronzimus_scheduler_resume_all"),
            }
        return super().changelist_view(request, context)

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause all claiming for the posted reason, or say at the input what is wrong with it."""
        _require(request)
        form, back = PauseAllForm(request.POST), reverse("admin:cronzimus_scheduler_changelist")
        if form.is_valid():
            self._pause(request, form.cleaned_data["reason"])
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": "Pause all", "opts": self.opts, "form": form,
            "action": reverse("admin:cronzimus_scheduler_pause_all"), "button": "Pause all",
            "back": back, "back_to": "schedulers",
        }  # fmt: skip
        return TemplateResponse(request, "admin/cronzimus/form_page.html", context)

    def _pause(self, request: HttpRequest, reason: str) -> None:
        control = services.pause_all(now=moment_of(request), actor=request.user.get_username(), reason=reason)
        self.log_change(request, control, f"Paused all: {reason}" if reason else "Paused all.")
        self.message_user(request, "All claiming is paused. What is running goes on.")

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """Resume all claiming."""
        _require(request)
        control = services.resume_all(now=moment_of(request), actor=request.user.get_username())
        self.log_change(request, control, "Resumed all.")
        self.message_user(request, "The schedulers claim again.")
        return HttpResponseRedirect(reverse("admin:cronzimus_scheduler_changelist"))


def figures(now: datetime) -> list[tuple[str, str]]:
    """Return what waits at `now`: what it is, and how many wait since when, in words."""
    return [
        ("Due jobs", _in_words(backlog.due_jobs(now))),
        ("Waiting runs", _in_words(backlog.waiting_runs(now))),
    ]


def _in_words(queue: backlog.Queue) -> str:
    if not queue.number:
        return "none"
    more = " or more" if queue.number == backlog.COUNTED else ""
    return f"{queue.number:,}{more}, the oldest for {display.duration(timedelta(seconds=queue.oldest))}"


def may_pause_all(request: HttpRequest) -> bool:
    """Say whether the person may pause and resume everything."""
    return any(request.user.has_perm(permission) for permission in PERMISSIONS)


def _require(request: HttpRequest) -> None:
    if not may_pause_all(request):
        raise PermissionDenied
