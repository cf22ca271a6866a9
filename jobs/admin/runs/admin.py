"""Runs in the admin. Nobody adds, edits or deletes a run here. A run can be cancelled or retried."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern

from ...models import Job, Run
from ..base import ReadOnlyAdmin
from ..paging import CappedPaginator
from ..row_action_views import RowActionAdmin, RowActionChangeList, bulk_actions, buttons
from . import columns
from .actions import RUN_ACTIONS, offered
from .filters import JobFilter, SpanFilter, StatusFilter, TriggerFilter, found
from .log import download, fragment
from .page import run_page

LONG = ("reason", "args", "kwargs", "result", "error", "traceback", "output")
"""The columns that the list leaves in the database."""
FIRST_LINE = 200
"""Characters of an error that the list reads."""


class RunChangeList(RowActionChangeList):
    """A list that does not read the long texts, but for the beginning of the error."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        """Return the runs of the page without their long texts."""
        runs: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        return runs.defer(*LONG).annotate(
            error_start=Left("error", FIRST_LINE), reason_start=Left("reason", FIRST_LINE)
        )

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the runs of the page, and whether the job of each still exists.

        For these alone: as a subquery of the list, PostgreSQL may read the ids of all jobs.
        """
        super().get_results(request)
        jobs = Job.objects.filter(pk__in={run.job_id for run in self.result_list})
        existing = set(jobs.values_list("pk", flat=True))
        for run in self.result_list:
            vars(run)["job_exists"] = run.job_id in existing


class RunAdmin(ReadOnlyAdmin, RowActionAdmin):
    """The list of runs, newest first, and the page of one."""

    list_display: Any = (
        columns.run_id, columns.job_link, columns.status_badge, columns.made_by, columns.scheduled,
        columns.start_delay, columns.took, "attempt", columns.first_error, buttons,
    )  # fmt: skip
    list_filter = (StatusFilter, TriggerFilter, SpanFilter, JobFilter)
    search_fields = ("job_id",)
    search_help_text = "Search for the id of a run, or the id or name of a job."
    ordering = ("-scheduled_time", "-id")
    sortable_by: ClassVar[Any] = (
        columns.run_id,
        columns.scheduled,
    )  # no other column has an index: sorting would read every run
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0
    row_actions = RUN_ACTIONS
    actions = bulk_actions(RUN_ACTIONS)
    most_at_once = 1000

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Run | None:
        """Return a run with whether its job still exists."""
        run: Run | None = super().get_object(request, object_id, from_field)
        if run is not None:
            vars(run)["job_exists"] = Job.objects.filter(pk=run.job_id).exists()
        return run

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may cancel runs."""
        return request.user.has_perm("cronzimus.cancel_run")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may retry runs."""
        return request.user.has_perm("cronzimus.retry_run")

    def logged_row(self, key: Any) -> Run | None:
        """Return the run whose log names an action."""
        return Run.objects.only("job_id", "scheduled_time").filter(pk=key).first()

    def button_names(self, row: Run) -> tuple[tuple[str, ...], str]:
        """Return the names of the actions for a row of the list."""
        return offered(row), f"run {row.pk}"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page of a run. Nobody edits one."""
        if request.method != "GET":
            raise PermissionDenied
        run: Run | None = self.get_object(request, unquote(object_id))
        if run is None and self.has_view_permission(request):
            said = f"Run {unquote(object_id)[:40]} doesn’t exist. It may have been deleted by its job’s retention."
            self.message_user(request, said, messages.WARNING)
            return HttpResponseRedirect(self.page_url("changelist"))
        if run is None or not self.has_view_permission(request, run):
            raise PermissionDenied
        return run_page(self, request, run)

    def own_urls(self) -> list[URLPattern]:
        """Return the addresses of the log of a run, and of the actions."""
        return [
            self.get("<path:object_id>/log/", self.log_view, "log"),
            self.get("<path:object_id>/download/", self.download_view, "download"),
            *super().own_urls(),
        ]

    def log_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with lines of the log of a run."""
        self.require(request, "view")
        return fragment(request, unquote(object_id))

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Answer with the log of a run as a file."""
        self.require(request, "view")
        return download(request, unquote(object_id))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return our own kind of list."""
        return RunChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Search by ids and names, which have indexes. The long texts have none."""
        words = search_term.strip()
        return (found(queryset, words) if words else queryset), False
