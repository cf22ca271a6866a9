"""The job pages' own addresses: the verbs, the pause until an instant, and the preview."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.admin.utils import unquote
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from ... import services
from ...core.exceptions import CronzimusError
from ...models import Job
from ...selectors import states
from ..pausing import PauseUntilForm
from ..request_time import moment_of
from ..row_action_views import VerbViews, verb_url
from ..row_actions import VERBS, next_run, pause_end
from .form import JobForm
from .preview import preview


class JobViews(VerbViews):
    """Adds the addresses beside Django's own, each with its permission checked in the handler."""

    verbs = VERBS

    def row_of(self, key: Any) -> Job:
        """Return what stands for a job on its record."""
        return Job(pk=key)

    def own_urls(self) -> list[URLPattern]:
        """Return our addresses before Django's, whose last one matches everything."""
        return [
            self.post("preview/", self.preview_view, "preview_new"),
            self.post("<path:object_id>/preview/", self.preview_view, "preview"),
            self.post("<path:object_id>/pause-until/", self.pause_until_view, "pause_until"),
            *super().own_urls(),
        ]

    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show what the posted trigger comes to. Nothing is kept, so whoever may see jobs may ask."""
        self.require(request, "view" if object_id is not None else "add")
        job = self.get_object(request, unquote(object_id)) if object_id is not None else None
        if object_id is not None and job is None:
            raise Http404
        form = self.get_form(request, job, change=job is not None)(request.POST, instance=job)
        return TemplateResponse(request, "admin/cronzimus/job/preview.html", {"preview": preview(cast(JobForm, form))})

    def pause_until_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a job until the posted instant, or say at the input what is wrong with it."""
        self.require(request, "change")
        job: Job | None = self.get_object(request, unquote(object_id))
        if job is None:
            raise Http404
        form = PauseUntilForm(request.POST, zone=states.zone_of(job))
        page = reverse("admin:cronzimus_job_change", args=[object_id])
        if form.is_valid() and self._pause(request, job, form):
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Pause {job.pk}", "opts": self.opts, "form": form, "action": verb_url(job, "pause_until"),
            "button": "Pause", "back": page, "back_to": job.pk,
        }  # fmt: skip
        return TemplateResponse(request, "admin/cronzimus/form_page.html", context)

    def _pause(self, request: HttpRequest, job: Job, form: PauseUntilForm) -> bool:
        now = moment_of(request)
        try:
            job = services.pause_job(job.pk, now=now, until=form.cleaned_data["until"])
        except CronzimusError as error:
            form.refuse(error)
            return False
        self.log_change(request, job, f"Paused until {form.cleaned_data['until']:%Y-%m-%d %H:%M:%S} UTC.")
        self.message_user(request, f"Schedule of {job.pk}: {next_run(job, now)}.")
        return True

    def pause_form(self, request: HttpRequest, job: Job) -> PauseUntilForm | None:
        """Return the form for the page of a job; None for those who may not pause it."""
        if not self.may(request, "change"):
            return None
        return PauseUntilForm(zone=states.zone_of(job), until=pause_end(job, moment_of(request)))
