"""Runs in the admin: the record. Nobody adds, edits or deletes a run here; one can be cancelled, or tried again."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse

from ...core.runs import RunStatus
from ...models import Job, Run
from ..jobs.columns import runs_url
from ..paging import CappedPaginator
from ..row_action_views import VerbChangeList, bulk_actions
from .actions import RUN_VERBS, offered, what_it_does
from .columns import RunColumns
from .filters import JobFilter, SpanFilter, StatusFilter, TriggerFilter, found

LONG = ("reason", "args", "kwargs", "result", "error", "traceback", "output")
"""The columns that the list leaves in the database."""
FIRST_LINE = 200
"""So many characters of an error are read for the list."""
SHOWN = {
    "progress": "progress_done",
    "waits_until": "available_at",
    "cancel_asked": "cancel_requested_at",
    "reason": "reason",
    "error_text": "error",
    "traceback_text": "traceback",
    "output_text": "output",
    "result_text": "result",
}
"""The fields of the page that are there only where there is something in them, and the columns they show."""
FIELDSETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("When", {"fields": ("scheduled", "queued", "started", "finished", "start_delay", "took")}),
    ("What it was", {"fields": ("job_link", "func", "arguments", "made_by", "attempts", "fire_times")}),
    ("Where", {"fields": ("executor", "time_limit", "claimed_by")}),
)
"""The fields of the page that are always there."""


class RunChangeList(VerbChangeList):
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
        "buttons",
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
    verbs = RUN_VERBS
    actions = bulk_actions(RUN_VERBS)
    most_at_once = 1000

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return all runs, each with whether its job still exists."""
        jobs = Job.objects.filter(pk=OuterRef("job_id"))
        runs: QuerySet[Run] = super().get_queryset(request).annotate(job_exists=Exists(jobs))
        return runs

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Say whether the person may cancel runs and have them tried again."""
        return request.user.has_perm("cronzimus.change_run")

    def row_of(self, key: Any) -> Run | None:
        """Return the run on whose record a verb is put."""
        return Run.objects.only("job_id", "scheduled_time").filter(pk=key).first()

    def get_fieldsets(self, request: HttpRequest, obj: Run | None = None) -> Any:
        """Return the fields of the page; of the texts those that there are."""
        shown = [name for name, field in SHOWN.items() if getattr(obj, field, None) not in ("", None)]
        if obj is not None and obj.status != RunStatus.QUEUED:
            shown = [name for name in shown if name != "waits_until"]
        return (("What happened", {"fields": ("status_word", *shown)}), *FIELDSETS)

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
        """Add the buttons, what they will do, and the address of the other runs of the job."""
        if obj is not None:
            verbs = self.page_buttons(request, obj, offered(obj))
            context |= {"runs": runs_url(obj.job_id), "verbs": verbs, "verbs_do": what_it_does(obj) if verbs else ""}
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
