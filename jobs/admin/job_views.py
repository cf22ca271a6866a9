"""The job pages' own addresses: the row buttons, the bulk actions that do the same, and the preview."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from jobs.admin.base import BaseAdmin
from jobs.admin.job_form import JobForm
from jobs.admin.preview import preview
from jobs.admin.verbs import VERBS, Verb, perform
from jobs.models import Job

View = Callable[..., HttpResponse]


class JobViews(BaseAdmin):
    """Adds the addresses beside Django's own, each with its permission checked in the handler."""

    def get_urls(self) -> list[Any]:
        """Return our addresses before Django's, whose last one matches everything."""
        own = [
            self._post("preview/", self.preview_view, "preview_new"),
            self._post("<path:object_id>/preview/", self.preview_view, "preview"),
        ]
        own += [self._post(f"<path:object_id>/{name}/", partial(self.verb_view, name=name), name) for name in VERBS]
        return [*own, *super().get_urls()]

    def _post(self, route: str, view: View, name: str) -> URLPattern:
        return path(route, self.admin_site.admin_view(require_POST(view)), name=f"jobs_job_{name}")

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do one verb with one job, and go back to where the button was."""
        job_id, verb = unquote(object_id), VERBS[name]
        self._require(request, verb.permission)
        perform(self, request, verb, [job_id])
        if "from_job" in request.POST and self.get_object(request, job_id) is not None:
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[object_id]))
        filters = QueryDict(request.POST.get("filters", "")).urlencode()
        return HttpResponseRedirect(f"{reverse('admin:jobs_job_changelist')}{'?' if filters else ''}{filters}")

    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show what the posted trigger comes to. Nothing is kept, so whoever may see jobs may ask."""
        self._require(request, "view" if object_id is not None else "add")
        job = self.get_object(request, unquote(object_id)) if object_id is not None else None
        if object_id is not None and job is None:
            raise Http404
        form = self.get_form(request, job, change=job is not None)(request.POST, instance=job)
        return TemplateResponse(request, "admin/jobs/job/preview.html", {"preview": preview(cast(JobForm, form))})

    def _require(self, request: HttpRequest, permission: str) -> None:
        if not getattr(self, f"has_{permission}_permission")(request):
            raise PermissionDenied


def bulk_action(name: str) -> Callable[[JobViews, HttpRequest, QuerySet[Job]], None]:
    """Return the bulk action of a verb, which Django offers to those with its permission only."""
    verb: Verb = VERBS[name]

    @admin.action(permissions=[verb.permission], description=verb.label)
    def act(modeladmin: JobViews, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        perform(modeladmin, request, verb, list(queryset.values_list("pk", flat=True)))

    act.__name__ = name
    return act


BULK_ACTIONS: Sequence[Callable[..., None]] = [bulk_action(name) for name in VERBS]
