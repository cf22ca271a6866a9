"""Schedulers in the admin: which processes run the jobs, for reading only, and the pause of all claiming."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from ... import services
from ...core.zone_data import used_data
from ...models import Scheduler
from ...selectors import backlog, counts, workers
from .. import display
from ..base import ReadOnlyAdmin, actor_of
from ..pausing import PauseAllForm
from ..request_time import request_now, row_now

LOOKS = {"alive": "check", "dead": "cross", "stopped": "stop"}
"""The icons of a scheduler's states."""


def life(scheduler: Scheduler, now: datetime) -> str:
    """Return whether a scheduler is alive, dead or stopped at `now`, as `LeaseQuerySet` has it."""
    if scheduler.stopped_at is not None:
        return "stopped"
    return "alive" if scheduler.is_alive(now) else "dead"


@admin.display(description="State")
def state(scheduler: Scheduler) -> SafeString:
    """Return whether it is alive, as icon and word."""
    word = life(scheduler, row_now(scheduler))
    return display.badge(word, word, LOOKS[word])


@admin.display(description="Started", ordering="started_at")
def started(scheduler: Scheduler) -> SafeString | str:
    """Return when it started."""
    return _instant(scheduler, "started_at")


@admin.display(description="Heartbeat", ordering="heartbeat_at")
def heartbeat(scheduler: Scheduler) -> SafeString | str:
    """Return when its last heartbeat was."""
    return _instant(scheduler, "heartbeat_at")


@admin.display(description="Lease until")
def lease(scheduler: Scheduler) -> SafeString | str:
    """Return until when its hold on its runs counts."""
    return _instant(scheduler, "lease_until")


@admin.display(description="Stopped")
def stopped(scheduler: Scheduler) -> SafeString | str:
    """Return when it stopped."""
    return _instant(scheduler, "stopped_at")


class SchedulerAdmin(ReadOnlyAdmin):
    """The list of schedulers, the latest first."""

    list_display: Any = (
        "id", state, heartbeat, "threads", "processes", "queued_runs", "running_runs", started, "version",
        "zone_data",
    )  # fmt: skip
    fields: ClassVar[Any] = (
        "id", state, "hostname", "pid", "version", "zone_data", "threads", "processes", "queued_runs", "running_runs",
        started, heartbeat, lease, stopped,
    )  # fmt: skip

    def get_urls(self) -> list[Any]:
        """Return the addresses of the pause, before Django's, whose last one matches everything."""
        views = (("pause", self.pause_view), ("resume", self.resume_view))
        own = [
            path(f"all/{name}/", self.admin_site.admin_view(require_POST(view)), name=f"cronzimus_scheduler_{name}_all")
            for name, view in views
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a user who may pause all see the schedulers."""
        return super().has_view_permission(request, obj) or may_pause_all(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, what waits, and whether all is paused."""
        now = request_now(request)
        context = {
            **(extra_context or {}),
            "all_paused": counts.all_paused(), "backlog": figures(now), "workers": _worker_rows(now),
            "zone_data": used_data(), "other_zone_data": Scheduler.objects.with_other_zone_data(now),
        }  # fmt: skip
        if may_pause_all(request):
            context |= {
                "pause_form": PauseAllForm(),
                "pause_url": self.page_url("pause_all"),
                "resume_url": self.page_url("resume_all"),
            }
        return super().changelist_view(request, context)

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause all claiming for the posted reason, or show the form with what is wrong."""
        require_pause_all(request)
        form, back = PauseAllForm(request.POST), self.page_url("changelist")
        if form.is_valid():
            self._pause(request, form.cleaned_data["reason"])
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "title": "Pause all", "opts": self.opts, "form": form,
            "action": self.page_url("pause_all"), "button": "Pause all",
            "back": back, "back_to": "schedulers",
        }  # fmt: skip
        return TemplateResponse(request, "cronzimus/form_page.html", context)

    def _pause(self, request: HttpRequest, reason: str) -> None:
        control = services.pause_all(now=request_now(request), actor=actor_of(request), reason=reason)
        self.log_change(request, control, f"Paused all: {reason}" if reason else "Paused all.")
        self.message_user(request, "All claiming is paused. What is running goes on.")

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """Resume all claiming."""
        require_pause_all(request)
        control = services.resume_all(now=request_now(request), actor=actor_of(request))
        self.log_change(request, control, "Resumed all.")
        self.message_user(request, "The schedulers claim again.")
        return HttpResponseRedirect(self.page_url("changelist"))


def _worker_rows(now: datetime) -> list[dict[str, Any]]:
    """Return the workers that have not signed off, as the page shows them."""
    zone = ZoneInfo(settings.TIME_ZONE)
    return [
        {
            "worker": worker, "queues": ", ".join(map(str, worker.queues)),
            "state": display.badge(word, word, LOOKS[word]),
            "heartbeat": display.instant(worker.heartbeat_at, now, zone),
        }
        for worker in workers.running_workers()
        for word in ("alive" if worker.is_alive(now) else "dead",)
    ]  # fmt: skip


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
    return request.user.has_perm("cronzimus.pause_all")


def require_pause_all(request: HttpRequest) -> None:
    if not may_pause_all(request):
        raise PermissionDenied


def _instant(scheduler: Scheduler, name: str) -> SafeString | str:
    return display.instant(getattr(scheduler, name), row_now(scheduler), ZoneInfo(settings.TIME_ZONE))
