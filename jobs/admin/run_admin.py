"""Runs in the admin: the record, for reading only. Nobody adds, changes or deletes a run here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse

from jobs.admin.base import StampedChangeList
from jobs.admin.job_columns import runs_url
from jobs.admin.paging import CappedPaginator
from jobs.admin.run_columns import RunColumns
from jobs.admin.run_filters import JobFilter, SpanFilter, StatusFilter, TriggerFilter, found
from jobs.models import Job, Run

LONG = ("reason", "args", "kwargs", "result", "error", "traceback", "output")
FIRST_LINE = 200
TEXTS = {
    "reason": "reason",
    "error_text": "error",
    "traceback_text": "traceback",
    "output_text": "output",
    "result_text": "result",
}
FIELDSETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("When", {"fields": ("scheduled", "queued", "started", "finished", "start_delay", "took")}),
    ("What it was", {"fields": ("job_link", "func", "arguments", "made_by", "attempt", "fire_times", "progress")}),
    ("Where", {"fields": ("executor", "claimed_by")}),
)


class RunChangeList(StampedChangeList):
    """A list that leaves the long texts in the database: of the error it fetches the beginning."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        """Return the runs of the page without their long texts."""
        runs: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        return runs.defer(*LONG).annotate(
            error_start=Left("error", FIRST_LINE), reason_start=Left("reason", FIRST_LINE)
        )


@admin.register(Run)
class RunAdmin(RunColumns):
    """The list of runs, newest first, and the page of one."""

    list_display = (
        "run_id", "job_link", "status_badge", "made_by", "scheduled", "start_delay", "took", "attempt", "first_error",
    )  # fmt: skip
    list_filter = (StatusFilter, TriggerFilter, SpanFilter, JobFilter)
    search_fields = ("job_id",)
    search_help_text = "Search for the id of a run, or the id or name of a job."
    ordering = ("-scheduled_time", "-id")
    sortable_by = ("run_id", "scheduled")  # the others have no index: sorting by them would read every run
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return all runs, each with whether its job still exists."""
        jobs = Job.objects.filter(pk=OuterRef("job_id"))
        runs: QuerySet[Run] = super().get_queryset(request).annotate(job_exists=Exists(jobs))
        return runs

    def get_fieldsets(self, request: HttpRequest, obj: Run | None = None) -> Any:
        """Return the fields of the page; of the texts those that there are."""
        texts = [name for name, field in TEXTS.items() if getattr(obj, field, None) not in ("", None)]
        return (("What happened", {"fields": ("status_badge", *texts)}), *FIELDSETS)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Name the page for the run."""
        context = {**(extra_context or {}), "title": f"Run {object_id}"}
        return super().changeform_view(request, object_id, form_url, context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Run | None = None,
    ) -> HttpResponse:
        """Add the address of the other runs of the job."""
        context |= {"runs": runs_url(obj.job_id) if obj else ""}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return our own kind of list."""
        return RunChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Search by ids and names, which are indexed, and not in the texts, which are long."""
        words = search_term.strip()
        return (found(queryset, words) if words else queryset), False
