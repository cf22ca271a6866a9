"""Runs in the admin. Nobody adds, edits or deletes a run here. A run can be cancelled or retried."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import URLPattern
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from ...core.secrets import masked
from ...models import Job, Run
from .. import export
from ..base import ReadOnlyAdmin
from ..lists import list_page
from ..row_action_views import RowActionAdmin, bulk_actions
from ..timeline.views import timeline_page
from .actions import RUN_ACTIONS
from .failures import export_failures, failures_page, retry_failures
from .filters import RUN_FILTERS
from .listing import RunChangeList, export_runs, run_list_context, search_runs
from .log import download, fragment
from .page import run_page


class RunAdmin(ReadOnlyAdmin, RowActionAdmin):
    """The list of runs, newest first, and the page of one."""

    change_list_template = "cronzimus/runs/list.html"
    list_filter = RUN_FILTERS
    search_fields = ("job_id",)
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    row_actions = RUN_ACTIONS
    actions = bulk_actions(RUN_ACTIONS)
    most_at_once = 1000

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Run | None:
        """Return a run, annotated with whether its job still exists.

        Probable secrets in its arguments are masked for users who may not change jobs.
        """
        run: Run | None = super().get_object(request, object_id, from_field)
        if run is not None:
            vars(run)["job_exists"] = Job.objects.filter(pk=run.job_id).exists()
            if not request.user.has_perm("cronzimus.change_job"):
                run.args, run.kwargs = masked(run.args), masked(run.kwargs)
        return run

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may cancel runs."""
        return request.user.has_perm("cronzimus.cancel_run")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may retry runs."""
        return request.user.has_perm("cronzimus.retry_run")

    def logged_row(self, key: Any) -> Run | None:
        """Return the run, whose log gets the entries of actions."""
        return Run.objects.only("job_id", "scheduled_time").filter(pk=key).first()

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a run. Nobody edits one."""
        gone = " It may have been deleted by its job’s retention."
        return self.show_row(request, object_id, run_page, gone)

    def timeline_view(self, request: HttpRequest) -> HttpResponse:
        """Show the timeline."""
        self.require(request, "view")
        return timeline_page(self, request)

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with lines of the log of a run."""
        self.require(request, "view")
        return fragment(request, unquote(object_id))

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the log of a run as a file."""
        self.require(request, "view")
        return download(request, unquote(object_id))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return our class of list."""
        return RunChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Narrow the runs by words and qualifiers."""
        return search_runs(queryset, search_term, request), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, or confirm and do an action on many runs."""
        response = super().changelist_view(request, extra_context)
        changelist = getattr(response, "context_data", None) and response.context_data.get("cl")  # type: ignore[attr-defined]
        if not changelist:
            return response
        return list_page(request, response, site=self.admin_site, **run_list_context(changelist, request))

    def export_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Answer with the runs of the list as a file."""
        self.require(request, "view")
        try:
            return export_runs(cast(RunChangeList, self.get_changelist_instance(request)), request, kind)
        except IncorrectLookupParameters as error:
            raise BadRequest from error

    def own_urls(self) -> list[URLPattern]:
        """Return the addresses of the exports, the timeline, the failures, the log of a run, and the actions."""
        exports = (
            self.get(f"export/{kind}/", partial(self.export_view, kind=kind), f"export_{kind}") for kind in export.KINDS
        )
        return [
            *exports,
            self.get("timeline/", self.timeline_view, "timeline"),
            self.get("failures/", self.failures_view, "failures"),
            self.post("failures/retry/", self.retry_failures_view, "failures_retry"),
            self.get("failures/export/<str:kind>/", self.export_failures_view, "failures_export"),
            self.get("<path:object_id>/log/", self.log_view, "log"),
            self.get("<path:object_id>/download/", self.download_view, "download"),
            *super().own_urls(),
        ]

    def failures_view(self, request: HttpRequest) -> HttpResponse:
        """Show the kinds of failures of the last days."""
        self.require(request, "view")
        return failures_page(self, request)

    def retry_failures_view(self, request: HttpRequest) -> HttpResponse:
        """Retry the failures of some kinds, after a question."""
        self.require(request, "retry")
        return retry_failures(self, request)

    def export_failures_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Answer with the kinds of failures as a file."""
        self.require(request, "view")
        if kind not in export.KINDS:
            raise Http404
        return export_failures(request, kind)
