"""Jobs in the admin: the list, and the page of one. Every write goes through `jobs.services`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from jobs import services, states
from jobs.admin.base import StampedChangeList
from jobs.admin.job_columns import JobColumns, allow, offered, runs_url, verb_url
from jobs.admin.job_filters import ExecutorFilter, LastResultFilter, StateFilter
from jobs.admin.job_form import JobForm
from jobs.admin.job_views import BULK_ACTIONS, JobViews
from jobs.admin.moment import moment_of
from jobs.admin.preview import preview
from jobs.admin.verbs import VERBS, next_run
from jobs.core.exceptions import CronzimusError, JobNotFound
from jobs.core.trigger_input import CRON_FIELDS, INTERVAL_UNITS
from jobs.models import Job

ARGUMENTS = "What the function is called with. Parameters of the types Database and RunContext are filled in for it."
ZONES = "Clock changes: a time that the clock skips runs once, right after; one that comes twice runs once."

WHAT = ("name", "description", "tags", "func")
WHEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("When", {"fields": ("trigger",), "classes": ("trigger-kinds",)}),
    ("Every", {"fields": (tuple(INTERVAL_UNITS),), "classes": ("trigger-inputs", "trigger-interval")}),
    ("Cron fields", {"fields": (CRON_FIELDS[:4], CRON_FIELDS[4:]), "classes": ("trigger-inputs", "trigger-cron")}),
    ("Crontab", {"fields": ("crontab",), "classes": ("trigger-inputs", "trigger-crontab")}),
    ("Once", {"fields": ("run_date",), "classes": ("trigger-inputs", "trigger-date")}),
    ("Between", {"fields": (("start_date", "end_date"), "jitter"), "classes": (
        "trigger-inputs", "trigger-interval", "trigger-cron", "trigger-crontab")}),
    ("Where", {"fields": ("timezone",), "classes": ("before-preview",), "description": ZONES}),
)  # fmt: skip
HOW = ("misfire_grace_time", "coalesce", "max_instances", "executor")
READ_ONLY = (
    ("What", {"fields": ("id", *WHAT, "args", "kwargs")}),
    ("When", {"fields": ("state", "trigger_words", "next_run"), "classes": ("before-preview",)}),
    ("How", {"fields": HOW}),
)


class JobChangeList(StampedChangeList):
    """A list that keeps with each row what its reader may do, beside the instant of the request."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page's rows, and hand them the permissions."""
        super().get_results(request)
        allowed = {name for name in ("add", "change") if getattr(self.model_admin, f"has_{name}_permission")(request)}
        for row in self.result_list:
            allow(row, allowed)


@admin.register(Job)
class JobAdmin(JobViews, JobColumns):
    """The list of jobs, and the form of one."""

    form = JobForm
    list_display = (
        "job_id", "named", "state", "trigger_words", "next_run", "last_result", "ran", "buttons",
    )  # fmt: skip
    list_filter = (StateFilter, LastResultFilter, ExecutorFilter)
    search_fields = ("id", "name", "description", "func")
    search_help_text = "Search in ids, names, descriptions and functions."
    actions = BULK_ACTIONS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        """Return our own kind of list."""
        return JobChangeList

    def get_list_display(self, request: HttpRequest) -> list[str | Callable[[Job], str | bool]]:
        """Leave the buttons out for those who may press none."""
        may = self.has_change_permission(request) or self.has_add_permission(request)
        return [name for name in self.list_display if may or name != "buttons"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse an action that the person may not take: Django itself would show the list again and say nothing."""
        action = request.POST.get("action")
        if action and action not in self.get_actions(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        """Return the form's inputs by section; for those who may only look, what the row holds."""
        if obj is not None and not self.has_change_permission(request, obj):
            return READ_ONLY
        what = WHAT if obj is not None else ("id", *WHAT)
        called = ("Called with", {"fields": ("args", "kwargs"), "description": ARGUMENTS})
        return (("What", {"fields": what}), called, *WHEN, ("How", {"fields": HOW}))

    def get_form(
        self, request: HttpRequest, obj: Job | None = None, change: bool = False, **kwargs: Any
    ) -> type[JobForm]:
        """Return the form of this request: it is handed the instant."""
        form = cast(type[JobForm], super().get_form(request, obj, change, **kwargs))
        form.now = moment_of(request)  # Django makes the class anew for each request
        return form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form, or save it; once more where another person was faster: the form finds what changed."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except CronzimusError:
            return super().changeform_view(request, object_id, form_url, extra_context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Job | None = None,
    ) -> HttpResponse:
        """Add what the page shows beside the form: the preview, what is wrong with the job, and the buttons."""
        form = context["adminform"].form
        if obj is None:
            context |= {
                "preview": preview(form) if form.is_bound else None,
                "preview_url": reverse("admin:jobs_job_preview_new"),
            }
        else:
            context |= {
                "preview": preview(form),
                "preview_url": self.has_change_permission(request) and verb_url(obj.pk, "preview"),
                "problem": states.job_state(obj)[1],
                "verbs": self._verbs(request, obj),
                "runs": runs_url(obj.pk),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _verbs(self, request: HttpRequest, job: Job) -> list[tuple[str, str]]:
        verbs = [(name, VERBS[name]) for name in offered(job)]
        return [
            (verb_url(job.pk, name), verb.label)
            for name, verb in verbs
            if getattr(self, f"has_{verb.permission}_permission")(request)
        ]

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        """Add or update the job through the services, and say when it runs next."""
        if change:
            services.update_job(obj.pk, form.body, now=form.now)
        else:
            obj.pk = services.add_job(form.body, now=form.now).pk
        obj.refresh_from_db()
        self.message_user(request, f"Schedule of {obj.pk}: {next_run(obj)}.")

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        """Remove the job through the services; its runs stay."""
        self._remove(obj.pk, request)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Remove the jobs through the services, each in a transaction of its own."""
        for job_id in queryset.values_list("pk", flat=True):
            self._remove(job_id, request)

    def _remove(self, job_id: str, request: HttpRequest) -> None:
        try:
            services.remove_job(job_id, now=moment_of(request))
        except JobNotFound:
            return  # another person was faster
