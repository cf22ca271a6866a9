"""Runs in the admin. Nobody adds, edits or deletes a run here. A run can be cancelled or retried."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from ...core.runs import RunStatus
from ...models import Job, Run
from ..base import ReadOnlyAdmin
from ..paging import CappedPaginator
from ..row_action_views import RowActionAdmin, RowActionChangeList, bulk_actions, buttons
from . import columns
from .actions import RUN_ACTIONS, offered, what_it_does
from .filters import JobFilter, SpanFilter, StatusFilter, TriggerFilter, found

LONG = ("reason", "args", "kwargs", "result", "error", "traceback", "output")
"""The columns that the list leaves in the database."""
FIRST_LINE = 200
"""Characters of an error that the list reads."""
SHOWN: dict[Any, str] = {
    columns.progress: "progress_done",
    columns.waits_until: "available_at",
    columns.cancel_asked: "cancel_requested_at",
    "reason": "reason",
    columns.error_text: "error",
    columns.traceback_text: "traceback",
    columns.output_text: "output",
    columns.result_text: "result",
}
"""The fields that the page leaves out if their column is empty, with that column."""
FIELDSETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("When", {"fields": (
        columns.scheduled, columns.queued, columns.started, columns.finished, columns.start_delay, columns.took)}),
    ("What it was", {"fields": (
        columns.job_link, "func", columns.arguments, columns.made_by, columns.attempts, "fire_times")}),
    ("Where", {"fields": ("executor", columns.time_limit, columns.claimed_by)}),
)  # fmt: skip
"""The fields that the page always shows."""


class RunChangeList(RowActionChangeList):
    """A list that does not read the long texts, but for the beginning of the error."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        """Return the runs of the page without their long texts."""
        runs: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        return runs.defer(*LONG).annotate(
            error_start=Left("error", FIRST_LINE), reason_start=Left("reason", FIRST_LINE)
        )


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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return all runs, each with whether its job still exists."""
        jobs = Job.objects.filter(pk=OuterRef("job_id"))
        runs: QuerySet[Run] = super().get_queryset(request).annotate(job_exists=Exists(jobs))
        return runs

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

    def get_fieldsets(self, request: HttpRequest, obj: Run | None = None) -> Any:
        """Return the fields of the page, without the empty ones."""
        shown = [name for name, field in SHOWN.items() if getattr(obj, field, None) not in ("", None)]
        if obj is not None and obj.status != RunStatus.QUEUED:
            shown = [name for name in shown if name is not columns.waits_until]
        return (("What happened", {"fields": (columns.status_word, *shown)}), *FIELDSETS)

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
        """Add the buttons, what they will do, and the address of the job's runs."""
        if obj is not None:
            found = self.page_buttons(request, obj, offered(obj))
            context |= {
                "runs": f"{self.page_url('changelist')}?{urlencode({'job': obj.job_id})}",
                "actions": found, "actions_do": what_it_does(obj) if found else "",
            }  # fmt: skip
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunChangeList]:
        """Return our own kind of list."""
        return RunChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Search by ids and names, which have indexes. The long texts have none."""
        words = search_term.strip()
        return (found(queryset, words) if words else queryset), False
