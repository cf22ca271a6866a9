"""Jobs in the admin: the list, the pages, and the addresses of actions. `services` writes."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from ... import services
from ...core.exceptions import CronzimusError, JobExists, JobNotFound, PreconditionFailed
from ...core.secrets import masked
from ...models import Job, Run
from ...models.job import SEARCHED, JobQuerySet
from ...selectors import states
from ...selectors.warnings import queue_warnings, secret_warnings
from .. import export
from ..base import model_url
from ..lists import list_page
from ..overview.views import overview
from ..pages import page
from ..pausing import PauseUntilForm
from ..request_time import request_now
from ..row_action_views import RowActionAdmin, bulk_actions, next_url, row_url
from ..row_actions import perform
from ..status import request_status
from .actions import BULK_ACTIONS, JOB_ACTIONS, next_run, pause_end
from .api_calls import form_snippets
from .filters import JOB_FILTERS
from .form import JobForm
from .form_page import arguments_context, form_context
from .listing import JobChangeList, export_jobs, job_list_context
from .page import job_page
from .preview import preview
from .resume import resume_dialog
from .run_dialog import run_dialog
from .sections import form_sections
from .transfer_page import jobs_file, transfer_page, whole_file
from .upcoming import upcoming_page
from .versions import revert, versions_page
from .why_page import why_page

SAMPLE = {"id": "sample", "func": "cronzimus.controller.task:task", "trigger": "interval", "minutes": 1,
          "description": "Asks the database for its time. A sample: delete it when you like."}  # fmt: skip
"""The sample job, which the empty list offers."""


class JobAdmin(RowActionAdmin):
    """The list of jobs, and the form of one."""

    form = JobForm
    change_list_template = "cronzimus/jobs/list.html"
    change_form_template = "cronzimus/jobs/form.html"
    list_filter = JOB_FILTERS
    search_fields = tuple(f"{name}__has_text" for name in SEARCHED)
    search_help_text = "Search in ids, names, descriptions and functions, or for owner:name."
    row_actions = JOB_ACTIONS
    actions = bulk_actions(BULK_ACTIONS)

    def logged_row(self, key: Any) -> Job:
        """Return a job with this id, whose log gets the entries of actions."""
        return Job(pk=key)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may run jobs."""
        return request.user.has_perm("cronzimus.run_job")

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may pause and resume jobs, and skip fire times."""
        return request.user.has_perm("cronzimus.pause_job")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Job], search_term: str
    ) -> tuple[QuerySet[Job], bool]:
        """Search for words, and for owners as `owner:name`."""
        jobs, words = cast(JobQuerySet, queryset).of_owners(search_term)
        return super().get_search_results(request, jobs, words)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        """Return our class of list."""
        return JobChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, or confirm and do an action on many jobs."""
        response = super().changelist_view(request, extra_context)
        changelist = getattr(response, "context_data", None) and response.context_data.get("cl")  # type: ignore[attr-defined]
        if not changelist:
            return response
        context = job_list_context(changelist, request)
        return list_page(
            request, response, site=self.admin_site, all_paused=request_status(request).all_paused, **context
        )

    def export_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Answer with the jobs of the list as a file."""
        self.require(request, "view")
        try:
            return export_jobs(cast(JobChangeList, self.get_changelist_instance(request)), request, kind)
        except IncorrectLookupParameters as error:
            raise BadRequest from error

    def jobs_file_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the jobs of the list as a file that can be applied. It has their arguments as they are."""
        self.require(request, "view", "change")
        try:
            found = self.get_changelist_instance(request).queryset.order_by("id")
        except IncorrectLookupParameters as error:
            raise BadRequest from error
        return jobs_file(Job.objects.filter(pk__in=found.values("pk")).order_by("id"), request_now(request))

    def whole_file_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with all jobs as a file, and with the alert rules for those who may see them."""
        self.require(request, "view", "change")
        return whole_file(request)

    def transfer_view(self, request: HttpRequest) -> HttpResponse:
        """Show the changes that a file of jobs would make, or apply them."""
        self.require(request, "view")
        return transfer_page(self, request)

    def upcoming_view(self, request: HttpRequest) -> HttpResponse:
        """Show the fire times of the next 7 days."""
        self.require(request, "view")
        return upcoming_page(self, request)

    def resume_ask_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask which fire times of a job's pause to run."""
        self.require(request, "pause")
        return resume_dialog(self, request, self.get_object(request, unquote(object_id)))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Job | None:
        """Return one job, with probable secrets masked for users who may not change it."""
        job: Job | None = super().get_object(request, object_id, from_field)
        if job is not None and not self.has_change_permission(request, job):
            job.args, job.kwargs = masked(job.args), masked(job.kwargs)
        return job

    def get_fieldsets(self, request: HttpRequest, obj: Job | None = None) -> Any:
        """Return the sections of the form."""
        return form_sections(obj)

    def get_form(
        self, request: HttpRequest, obj: Job | None = None, change: bool = False, **kwargs: Any
    ) -> type[JobForm]:
        """Return the form class, with the instant of this request."""
        form = cast(type[JobForm], super().get_form(request, obj, change, **kwargs))
        form.now = request_now(request)  # Django makes the class anew for each request
        return form

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a job. Its form is at edit/."""
        return self.show_row(request, object_id, job_page)

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the form of a job, or save it."""
        self.require(request, "change")
        return super().change_view(request, object_id)

    def run_with_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for arguments, and run a job with them."""
        self.require(request, "run")
        return self.show_row(request, object_id, run_dialog)

    def why_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Explain why a job ran, or did not run, at an instant."""
        return self.show_row(request, object_id, why_page)

    def response_post_save_add(self, request: HttpRequest, obj: Job) -> HttpResponseRedirect:
        """Go to the page of the new job."""
        return HttpResponseRedirect(self.page_url("change", obj.pk))

    def response_post_save_change(self, request: HttpRequest, obj: Job) -> HttpResponseRedirect:
        """Go back to the page of the job."""
        return HttpResponseRedirect(self.page_url("change", obj.pk))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form, or save it. If somebody else saved in between, validate again to find the conflict."""
        for name, permission in (("_saverun", "run"), ("_savepaused", "pause"), ("_test", "run")):
            if name in request.POST:
                self.require(request, permission)
        if "_test" in request.POST and (run := self._test(request, object_id)) is not None:
            return HttpResponseRedirect(model_url(self.admin_site, Run, "change", run.pk))
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except CronzimusError:
            return super().changeform_view(request, object_id, form_url, extra_context)

    def _test(self, request: HttpRequest, object_id: str | None) -> Run | None:
        """Queue a test run of what was typed, and return it; None if that is not valid."""
        self.require(request, "add" if object_id is None else "change")
        form = self._sent(request, object_id)
        if not form.is_valid():
            return None
        return services.run_test(form.body, now=form.now, job=form.job)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Job | None = None,
    ) -> HttpResponse:
        """Add the preview, the job's problems, and the buttons."""
        form = context["adminform"].form
        context |= form_context(self, request, obj, form)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def save_model(self, request: HttpRequest, obj: Job, form: Any, change: bool) -> None:
        """Add or update the job through the services, with a message about its next run."""
        paused = "_savepaused" in request.POST
        if change:
            services.update_job(obj.pk, form.body, now=form.now, check=partial(_require_version, obj.version))
            if paused:
                services.pause_job(obj.pk, now=form.now)
        else:
            obj.pk = services.add_job({**form.body, "paused": paused}, now=form.now).pk
        obj.refresh_from_db()
        queue = queue_warnings(obj.executor, obj.queue, form.now)
        for warning in (*secret_warnings(obj.args, obj.kwargs, obj.executor), *queue):
            self.message_user(request, warning.message, messages.WARNING)
        self.message_user(request, f"Schedule of {obj.pk}: {next_run(obj, form.now)}.")
        if "_saverun" in request.POST:
            perform(self, request, JOB_ACTIONS["run"], [obj.pk], {})

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        """Remove the job through the services; its runs stay."""
        self._remove(obj.pk, request)

    def _remove(self, job_id: str, request: HttpRequest) -> None:
        try:
            services.remove_job(job_id, now=request_now(request))
        except JobNotFound:
            return  # somebody else removed it

    def own_urls(self) -> list[URLPattern]:
        """Return the addresses of the exports, the preview, the dialogs, and the actions."""
        return [
            self.get("overview/", self.overview_view, "overview"),
            self.both("<path:object_id>/edit/", self.edit_view, "edit"),
            self.both("<path:object_id>/run-with/", self.run_with_view, "run_with"),
            self.get("<path:object_id>/why/", self.why_view, "why"),
            self.post("sample/", self.sample_view, "sample"),
            self.post("preview/", self.preview_view, "preview_new"),
            self.post("arguments/", self.arguments_view, "arguments_new"),
            self.post("<path:object_id>/arguments/", self.arguments_view, "arguments"),
            *(
                self.get(f"export/{kind}/", partial(self.export_view, kind=kind), f"export_{kind}")
                for kind in export.KINDS
            ),
            self.post("<path:object_id>/preview/", self.preview_view, "preview"),
            self.get("export/yaml/", self.jobs_file_view, "export_yaml"),
            self.both("transfer/", self.transfer_view, "transfer"),
            self.get("transfer/export/", self.whole_file_view, "transfer_export"),
            self.get("upcoming/", self.upcoming_view, "upcoming"),
            self.get("<path:object_id>/resume/ask/", self.resume_ask_view, "resume_ask"),
            self.post("<path:object_id>/pause-until/", self.pause_until_view, "pause_until"),
            self.get("<path:object_id>/versions/", self.versions_view, "versions"),
            self.post("<path:object_id>/revert/", self.revert_view, "revert"),
            *super().own_urls(),
        ]

    def overview_view(self, request: HttpRequest) -> HttpResponse:
        """Show the overview: the start page of the product's admin."""
        self.require(request, "view")
        return overview(self.admin_site, request)

    def sample_view(self, request: HttpRequest) -> HttpResponse:
        """Add the sample job, for people who want to see a job run."""
        self.require(request, "add")
        try:
            job = services.add_job(SAMPLE, now=request_now(request))
        except JobExists:
            self.message_user(request, f"The job {SAMPLE['id']} is there already.")
        else:
            self.log_addition(request, job, "Added as a sample.")
            self.message_user(request, f"Added {job.pk}: {next_run(job, request_now(request))}.")
        return HttpResponseRedirect(next_url(request) or self.page_url("overview"))

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the versions of a job's definition."""
        return versions_page(self, request, object_id)

    def revert_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Restore a version of a job's definition."""
        return revert(self, request, object_id)

    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show the fire times of the posted job, and the job as a text, to all who may view jobs. Nothing is saved."""
        form = self._sent(request, object_id)
        context = {"preview": preview(form), "snippets": form_snippets(request, form)}
        return TemplateResponse(request, "cronzimus/jobs/preview.html", context)

    def arguments_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show an input for each parameter of the posted function, with the posted values."""
        return TemplateResponse(
            request, "cronzimus/jobs/arguments.html", arguments_context(self._sent(request, object_id))
        )

    def _sent(self, request: HttpRequest, object_id: str | None) -> JobForm:
        """Return the form with the posted values, of a job or of a new one. Nothing is saved."""
        self.require(request, "view" if object_id is not None else "add")
        job = self.get_object(request, unquote(object_id)) if object_id is not None else None
        if object_id is not None and job is None:
            raise Http404
        return self.get_form(request, job, change=job is not None)(request.POST, instance=job)

    def pause_until_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a job until the posted instant, or show the form with its errors."""
        self.require(request, "pause")
        job: Job | None = self.get_object(request, unquote(object_id))
        if job is None:
            raise Http404
        form = PauseUntilForm(request.POST, zone=states.zone_of(job))
        back = self.page_url("change", job.pk)
        if form.is_valid() and self._pause(request, job, form):
            return HttpResponseRedirect(back)
        return page(
            self.admin_site, request, "cronzimus/form_page.html", title=f"Pause {job.pk}", live_url="", opts=self.opts,
            form=form, action=row_url(job, "pause_until"), button="Pause", back=back,
        )  # fmt: skip

    def _pause(self, request: HttpRequest, job: Job, form: PauseUntilForm) -> bool:
        now = request_now(request)
        try:
            job = services.pause_job(job.pk, now=now, until=form.cleaned_data["until"])
        except CronzimusError as error:
            form.refuse(error)
            return False
        self.log_change(request, job, f"Paused until {form.cleaned_data['until']:%Y-%m-%d %H:%M:%S} UTC.")
        self.message_user(request, f"Schedule of {job.pk}: {next_run(job, now)}.")
        return True

    def pause_form(self, request: HttpRequest, job: Job) -> PauseUntilForm | None:
        """Return the form for the page of a job, or None if the user may not pause it."""
        if not self.may(request, "pause"):
            return None
        return PauseUntilForm(zone=states.zone_of(job), until=pause_end(job, request_now(request)))


def _require_version(read: int, now: int) -> None:
    """Raise `PreconditionFailed` if a job has another version than the form has read: it is then validated again."""
    if read != now:
        raise PreconditionFailed("the job has changed in this moment; save it again")
