"""Jobs in the admin: the list, and the page of one. Every write goes through `jobs.services`."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from ... import services
from ...core.exceptions import CronzimusError, JobNotFound
from ...definitions import policies
from ...models import Job
from ...selectors import states
from ..pausing import all_paused
from ..request_time import moment_of
from ..row_action_views import bulk_actions, verb_url
from ..row_actions import VERBS, next_run
from .columns import JobColumns, offered_on_page, runs_url
from .filters import ExecutorFilter, LastResultFilter, StateFilter
from .form import JobForm, stored_policies
from .preview import preview
from .sections import form_sections, read_sections
from .views import JobViews


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
    actions = bulk_actions(VERBS)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it that all is paused, if it is."""
        return super().changelist_view(request, {**(extra_context or {}), "all_paused": all_paused()})

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        """Return the form's inputs by section; for those who may only look, what the row holds."""
        if obj is not None and not self.has_change_permission(request, obj):
            return read_sections(obj)
        return form_sections(obj)

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
                "preview_url": reverse("admin:cronzimus_job_preview_new"),
            }
        else:
            context |= self._page(request, obj, form)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _page(self, request: HttpRequest, job: Job, form: Any) -> dict[str, Any]:
        return {
            "preview": preview(form),
            "preview_url": self.has_change_permission(request) and verb_url(job, "preview"),
            "problem": states.job_state(job, moment_of(request))[1],
            "damaged": policies.policy_problems(stored_policies(job)),
            "verbs": self.page_buttons(request, job, offered_on_page(job)),
            "pause_form": self.pause_form(request, job),
            "pause_url": verb_url(job, "pause_until"),
            "runs": runs_url(job.pk),
        }

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        """Add or update the job through the services, and say when it runs next."""
        if change:
            services.update_job(obj.pk, form.body, now=form.now)
        else:
            obj.pk = services.add_job(form.body, now=form.now).pk
        obj.refresh_from_db()
        self.message_user(request, f"Schedule of {obj.pk}: {next_run(obj, form.now)}.")

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
