"""The list of jobs: its rows in the order in which people need them, its tabs, and its export."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Case, Count, IntegerField, QuerySet, Value, When, Window
from django.http import HttpRequest, StreamingHttpResponse

from ...models import Job
from ...selectors import counts, states
from ...selectors.descriptions import DEFINITION, descriptions, words_of
from .. import charts, export, lists
from ..base import BaseChangeList, model_url
from ..lists import Link
from ..request_time import request_now
from ..status import request_status
from ..times import Times
from .filters import ORDERS
from .rows import job_rows

NOT_SHOWN = ("args", "kwargs", "declaration")
"""The columns that the list does not read, because they may be large."""
LEGEND = ("succeeded", "failed or timed out", "missed", "skipped", "running", "no run")
TABS = (
    ("", "All"), ("active", "Active"), ("paused", "Paused"), ("failing", "Failing"), ("running", "Running"),
    ("never", "Never ran"), ("completed", "Completed"), ("broken", "Broken"),
)  # fmt: skip
"""The tabs, by the values of the filter by state."""
BAD = {"failing", "broken"}
ALWAYS_SHOWN = {"", "active", "paused", "failing", "running", "never", "broken"}
"""Tabs that are shown even without jobs."""
TROUBLE = Case(
    When(counts.KINDS["failing"].condition | counts.KINDS["broken"].condition, then=Value(0)),
    default=Value(1), output_field=IntegerField(),
)  # fmt: skip
"""The key by which jobs in trouble come first; it needs jobs with their state."""
TROUBLE_FIRST = "trouble first, then by next run"
"""The words for the default order of the list."""
GUESSED_FROM = 2000
"""Ids that are searched for near misses of a search."""


class JobChangeList(BaseChangeList):
    """The list of jobs. One query reads the rows of a page and the number of all."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Job]:
        """Return the jobs with their state, and without their large columns."""
        # The state comes before the order, because jobs in trouble come first.
        root: Any = self.root_queryset
        judged = root.with_state(request_now(request), functions=counts.known_functions())
        self.root_queryset = judged.annotate(trouble=TROUBLE)
        jobs: Any = super().get_queryset(request, exclude_parameters)
        found: QuerySet[Job] = jobs.defer(*NOT_SHOWN).annotate(definition=DEFINITION)
        return found

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Job]) -> Any:
        """Return the order that the address names, or else the default order."""
        return ORDERS.get(self.params.get("o", ""), ORDERS[""])

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the rows of the page, with the number of all in each."""
        start = (self.page_num - 1) * self.list_per_page
        if not 0 <= start <= counts.MAX_ROWS:
            raise IncorrectLookupParameters
        found = self.queryset.annotate(total=Window(Count("pk")))
        rows = list(found[start : start + self.list_per_page])
        if start and not rows:
            raise IncorrectLookupParameters
        self.result_list = rows
        self.result_count = rows[0].total if rows else 0
        self.full_result_count, self.show_full_result_count, self.show_admin_actions = None, False, True
        self.can_show_all, self.multi_page = False, self.result_count > self.list_per_page
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)


def job_list_context(changelist: JobChangeList, request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page of the list."""
    site, times = changelist.model_admin.admin_site, Times.of(request)
    status = request_status(request)
    url = model_url(site, Job, "changelist")
    query = changelist.get_query_string(remove=["p"])
    model_admin: Any = changelist.model_admin
    allowed = model_admin.allowed(request)
    rows = job_rows(site, changelist.result_list, times)
    kinds = (*export.KINDS, *(("yaml",) if model_admin.has_change_permission(request) else ()))
    return {
        "rows": rows,
        "tabs": _tabs(changelist, status.jobs, status.runs.jobs),
        "chips": lists.chips(changelist),
        "hidden": list(lists.hidden(changelist)),
        "query": changelist.query,
        "clear_url": url,
        "narrowed": lists.is_narrowed(changelist),
        "pager": lists.numbered_pager(changelist, "job", "" if "o" in changelist.params else TROUBLE_FIRST),
        "total": changelist.result_count,
        "orders": _orders(changelist),
        "exports": [(kind.upper(), f"{url}export/{kind}/{query}") for kind in kinds],
        "legend": charts.legend(*LEGEND),
        "allowed": allowed,
        "may_change": model_admin.has_change_permission(request),
        "may_delete": model_admin.has_delete_permission(request),
        "may_add": model_admin.has_add_permission(request),
        "may_select": bool(allowed & {"run", "pause"}) or model_admin.has_delete_permission(request),
        "action_url": request.get_full_path(),
        "scheduler_alive": bool(status.alive),
        "guesses": _guesses(changelist) if changelist.query and not rows else [],
        "times": times,
    }


def _tabs(changelist: JobChangeList, found: counts.JobCounts, running: int) -> list[Link]:
    chosen = changelist.params.get("state", "")
    links = []
    for name, label in TABS:
        number = running if name == "running" else getattr(found, name or "all")
        if name in ALWAYS_SHOWN or number or name == chosen:
            url = changelist.get_query_string({"state": name or None}, remove=["p"])
            links.append(Link(label, url, name == chosen, f"{number:,}", name in BAD and number > 0))
    return links


def _orders(changelist: JobChangeList) -> dict[str, tuple[str, str]]:
    """Return the address of each column's order, and its current order, by the column's name."""
    now = changelist.params.get("o", "")
    found = {}
    for name in ("id", "last", "next"):
        following = f"-{name}" if now == name else name
        direction = {name: "ascending", f"-{name}": "descending"}.get(now, "none")
        found[name] = (changelist.get_query_string({"o": following}, remove=["p"]), direction)
    return found


def _guesses(changelist: JobChangeList) -> list[str]:
    """Return ids that are close to the words of the search."""
    ids = list(Job.objects.order_by("pk").values_list("pk", flat=True)[:GUESSED_FROM])
    return get_close_matches(changelist.query, ids, n=3, cutoff=0.6)


EXPORTED = (
    "id", "name", "func", "trigger", "schedule", "time_zone", "state", "tags", "owner", "next_run_time", "last_status",
    "last_run_at", "run_count", "failure_count",
)  # fmt: skip
"""The columns of an export."""


def exported(jobs: QuerySet[Job], request: HttpRequest) -> Iterator[dict[str, Any]]:
    """Yield the jobs of an export, each with the columns of `EXPORTED`."""
    now, known = request_now(request), descriptions()
    for job in jobs.iterator(chunk_size=1000):
        definition: str = job.definition  # type: ignore[attr-defined]
        about = known.of(definition)
        state, _ = states.state_with(job, now, about.problem)
        yield {
            "id": job.pk, "name": job.name, "func": job.func, "trigger": job.trigger, "schedule": words_of(definition),
            "time_zone": about.zone.key, "state": state.value, "tags": job.tags, "owner": job.owner,
            "next_run_time": job.next_run_time, "last_status": job.last_status, "last_run_at": job.last_run_at,
            "run_count": job.run_count, "failure_count": job.failure_count,
        }  # fmt: skip


def export_jobs(changelist: JobChangeList, request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """Answer with all jobs of the list as a file."""
    return export.download(kind, "jobs", EXPORTED, exported(changelist.queryset, request), request_now(request))
