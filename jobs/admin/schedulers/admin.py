"""Schedulers and workers in the admin: the processes that run the jobs, and the pause of one of them or of all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from ... import services
from ...conf import worker_command
from ...core.zone_data import used_data
from ...models import Run, Scheduler
from ...selectors import backlog, counts
from ...selectors.obstacles import differing_brokers
from ...selectors.workers import Fleet, has_broker, known_workers
from .. import charts, display
from ..base import model_url
from ..pages import page
from ..pausing import PauseAllForm, ResumeAllForm
from ..refusals import Refused
from ..request_time import request_now
from ..row_actions import Call, RowAction
from ..shell.banners import SKEWED, skew_words
from ..status import request_status
from ..tables import Column, Content, Empty, Facts, FactsAdmin
from ..times import NOTHING, Times, duration
from .about import about_page, bundle_file
from .states import badge, scheduler_state
from .workers import worker_rows


def _state(row: Scheduler, times: Times) -> SafeString:
    return badge(scheduler_state(row, times.now))


def _who(row: Scheduler, times: Times) -> Content:
    if row.drained_at is None or row.stopped_at is not None:
        return ""
    return f"by {row.drained_by}" if row.drained_by else f"since {times.short(row.drained_at, seconds=False)}"


def _load(row: Scheduler, times: Times) -> Content:
    words = f"{row.running_runs:,} of {row.slots:,}"
    return words if row.stopped_at else format_html("{}{}", words, charts.load_bar(row.running_runs, row.slots))


def _zone_data(row: Scheduler, times: Times) -> Content:
    shown = row.zone_data or "unknown"
    if row.stopped_at is not None or row.zone_data == used_data().version:
        return shown
    return format_html('<span class="state state-missed">{}{}</span>', display.icon("warning"), shown)


def _skew(row: Scheduler, times: Times) -> Content:
    if abs(row.clock_skew) < 0.0005:
        return NOTHING
    words = f"{'+' if row.clock_skew > 0 else '−'}{skew_words(row)}"
    if abs(row.clock_skew) <= SKEWED:
        return words
    return format_html('<span class="state state-missed">{}{}</span>', display.icon("clock"), words)


def _drain(scheduler_id: Any, call: Call) -> SafeString:
    services.drain_scheduler(str(scheduler_id), now=call.now)
    return format_html("{}; it claims nothing more from its next heartbeat on, and what it runs goes on", scheduler_id)


def _resume(scheduler_id: Any, call: Call) -> SafeString:
    services.resume_scheduler(str(scheduler_id), now=call.now)
    return format_html("{}; it claims from its next heartbeat on", scheduler_id)


class SchedulerAdmin(FactsAdmin):
    """The schedulers, the running ones first, and below them the workers."""

    change_list_template = "cronzimus/schedulers/list.html"
    empty = Empty(icon="servers", title="No scheduler has reported", text="Jobs fire once one runs. Start it with:")
    columns = (
        Column("id", "Scheduler", lambda row, times: row.pk, lambda row, times: f"version {row.version}"),
        Column("state", "State", _state, _who),
        Column("heartbeat", "Heartbeat", lambda row, times: times.ago(row.heartbeat_at), look="nowrap"),
        Column("load", "Running", _load, lambda row, times: f"{row.queued_runs:,} queued" if row.queued_runs else ""),
        Column("memory", "Memory", lambda row, times: "" if row.stopped_at else display.megabytes(row.memory),
               look="num extra"),
        Column("zone", "Time zone data", _zone_data, look="nowrap"),
        Column("skew", "Clock", _skew, look="num"),
        Column("started", "Started", lambda row, times: times.ago(row.started_at),
               lambda row, times: times.at(row.started_at, seconds=False), "nowrap extra"),
    )  # fmt: skip
    row_actions: ClassVar[dict[str, RowAction]] = {
        "drain": RowAction(label="Drain", done="Drained", permissions=("pause_all",), do=_drain),
        "resume": RowAction(label="Claim again", done="Resumed", permissions=("pause_all",), do=_resume),
    }

    def own_urls(self) -> list[URLPattern]:
        """Return the addresses of the pause, before those of rows."""
        views = (("pause", self.pause_view), ("resume", self.resume_view))
        own = [
            path(f"all/{name}/", self.admin_site.admin_view(require_POST(view)), name=f"cronzimus_scheduler_{name}_all")
            for name, view in views
        ]
        return [
            *own,
            self.get("about/", self.about_view, "about"),
            self.get("about/bundle/", self.bundle_view, "bundle"),
            *super().own_urls(),
        ]

    def about_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page about the site."""
        self.require(request, "view")
        return about_page(self, request, may_support=may_pause_all(request))

    def bundle_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the bundle for support, as a file."""
        self.require(request, "pause_all")
        return bundle_file(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scheduler]:
        """Return the schedulers, the running ones first."""
        return super().get_queryset(request).order_by(F("stopped_at").desc(nulls_first=True), "-started_at", "id")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let a user who may pause all see the schedulers."""
        return super().has_view_permission(request, obj) or may_pause_all(request)

    def has_pause_all_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may pause everything, and so one scheduler too."""
        return may_pause_all(request)

    def logged_row(self, key: Any) -> Scheduler | None:
        """Return the scheduler, whose log gets the entries of actions."""
        return Scheduler.objects.filter(pk=key).first()

    def offered(self, row: Scheduler, now: datetime) -> Iterable[str]:
        """Offer to drain a running scheduler, or to let a drained one claim again."""
        if row.stopped_at is not None:
            return ()
        return ("drain",) if row.drained_at is None else ("resume",)

    def row_links(self, request: HttpRequest, row: Scheduler) -> Iterable[tuple[str, str]]:
        """Link to the runs of its host."""
        query = urlencode({"q": f"host:{row.hostname}"})
        yield "Runs", f"{model_url(self.admin_site, Run, 'changelist')}?{query}"

    def table(self, request: HttpRequest, changelist: Any) -> dict[str, Any]:
        """Add the backlog, the pause, differences between the schedulers, and the workers."""
        now, shared = request_now(request), super().table(request, changelist)
        running = [row for row in changelist.result_list if row.stopped_at is None]
        found = known_workers()
        shared |= {
            "title": "Schedulers and workers" if found else "Schedulers", "bulk": [],
            "figures": figures(running, request_status(request).fleet), "all_paused": counts.all_paused(),
            "zone_data": used_data(), "other_zone_data": Scheduler.objects.with_other_zone_data(now),
            "differing_brokers": differing_brokers(request_status(request).fleet),
            "workers": worker_rows(found, shared["times"]), "has_broker": has_broker(),
            "worker_command": worker_command(),
        }  # fmt: skip
        if may_pause_all(request):
            shared |= {
                "pause_form": PauseAllForm(), "pause_url": self.page_url("pause_all"),
                "resume_form": ResumeAllForm(), "resume_url": self.page_url("resume_all"),
            }  # fmt: skip
        return shared

    def facts(self, request: HttpRequest, row: Scheduler, times: Times) -> Facts:
        """Return the facts of a scheduler."""
        return Facts(badge=badge(scheduler_state(row, times.now), pill=True), facts=list(_facts(row, times)))

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Pause all claiming for the posted reason, or show the form with its errors."""
        require_pause_all(request)
        form, back = PauseAllForm(request.POST), self.page_url("changelist")
        if form.is_valid():
            self._pause(request, form.cleaned_data["reason"])
            return HttpResponseRedirect(back)
        return page(
            self.admin_site, request, "cronzimus/form_page.html", title="Pause all", live_url="", opts=self.opts,
            form=form, action=self.page_url("pause_all"), button="Pause all", back=back,
        )  # fmt: skip

    def _pause(self, request: HttpRequest, reason: str) -> None:
        control = services.pause_all(now=request_now(request), reason=reason)
        self.log_change(request, control, f"Paused all: {reason}" if reason else "Paused all.")
        self.message_user(request, "All claiming is paused. Running jobs go on.")

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """Resume all claiming, with the fire times of the pause that were chosen."""
        require_pause_all(request)
        form, back = ResumeAllForm(request.POST), HttpResponseRedirect(self.page_url("changelist"))
        if not form.is_valid():
            self.message_user(request, "Not resumed: choose which fire times of the pause run.", messages.ERROR)
            return back
        missed = form.chosen()
        control, left = services.resume_all(now=request_now(request), missed=missed)
        self.log_change(request, control, f"Resumed all; fire times of the pause: {missed or 'by policies'}.")
        self.message_user(request, "The schedulers claim again.")
        if left:
            self.message_user(request, f"{left[:1].upper()}{left[1:]}.", messages.WARNING)
        return back


def _facts(row: Scheduler, times: Times) -> Iterator[tuple[str, Content]]:
    yield "Host", row.hostname
    yield "Process", str(row.pid)
    yield "Version", row.version
    yield "Threads", f"{row.threads or 0:,}"
    yield "Processes", f"{row.processes or 0:,}"
    yield "Running", f"{row.running_runs:,}"
    yield "Queued", f"{row.queued_runs:,}"
    yield (
        "Memory",
        f"{display.megabytes(row.memory)}{', without its child processes' if row.memory and row.processes else ''}",
    )
    yield "Started", times.exact(row.started_at)
    yield "Heartbeat", times.ago(row.heartbeat_at)
    yield "Lease until", times.exact(row.lease_until)
    yield "Time zone data", _zone_data(row, times)
    if row.broker:
        yield "Broker", row.broker
    yield "Clock", format_html("{} against the database’s", _skew(row, times))
    if row.drained_at is not None:
        yield "Drained", f"{times.exact(row.drained_at)}{f' by {row.drained_by}' if row.drained_by else ''}"
    if row.stopped_at is not None:
        yield "Stopped", times.exact(row.stopped_at)


def figures(running: list[Scheduler], fleet: Fleet) -> list[tuple[str, str, str]]:
    """Return the name, the value and a note of each figure: schedulers alive, running runs, and the backlog."""
    now = fleet.now
    alive = [row for row in running if row.is_alive(now)]
    claiming = sum(row.drained_at is None for row in alive)
    slots, busy = sum(row.slots for row in alive), sum(row.running_runs for row in alive)
    drained = f"{len(alive) - claiming:,} drained" if claiming < len(alive) else ""
    return [
        ("Alive", f"{len(alive):,}" if alive else "none", drained),
        ("Running", f"{busy:,}", f"of {slots:,} slots" if slots else ""),
        ("Due jobs", *_in_words(backlog.due_jobs(now))),
        ("Waiting runs", *_in_words(backlog.waiting_runs(now, fleet))),
    ]  # fmt: skip


def _in_words(found: backlog.Backlog) -> tuple[str, str]:
    if not found.number:
        return "none", ""
    more = " or more" if found.number == backlog.MAX_COUNTED else ""
    return f"{found.number:,}{more}", f"the oldest for {duration(timedelta(seconds=found.oldest))}"


def may_pause_all(request: HttpRequest) -> bool:
    """Tell whether the user may pause and resume everything."""
    return request.user.has_perm("cronzimus.pause_all")


def require_pause_all(request: HttpRequest) -> None:
    """Raise `PermissionDenied` unless the user may pause everything."""
    if not may_pause_all(request):
        raise Refused("pause_all")
