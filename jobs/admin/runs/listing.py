"""The list of runs: newest first, by cursor. New runs are announced, and do not move the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

from django.contrib.admin.options import IncorrectLookupParameters
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import urlencode

from ...models import Run
from ...models.run import RunQuerySet, error_start
from ...models.run import duration as length_of
from ...selectors.run_pages import Cursor, Page, page_of, read_cursor
from ...selectors.run_search import SUGGESTED, RunSearch, by_status, narrowed, parse_search, run_number, with_status
from ...selectors.tab_counts import MAX_COUNTED, capped_counts
from .. import export, lists
from ..base import BaseChangeList, model_url
from ..lists import Link, Pager
from ..request_time import request_now
from ..times import Times
from .filters import StatusFilter
from .open_logs import OPEN, OpenLogs
from .rows import READ, run_rows

CURSOR, SEEN = "cursor", "seen"
"""The parameters of the position in the list, and of the newest run that the browser has seen."""
FIRST_LINE = 200
"""Characters of an error that the list reads."""
TABS = (
    ("", "All"), ("running", "Running"), ("queued", "Queued"), ("failures", "Failed"), ("not_run", "Did not run"),
    ("cancelled", "Cancelled"), ("succeeded", "Succeeded"),
)  # fmt: skip
"""The tabs, by the values of the filter by status."""
CHEAP = {"status", "since", "from", "to"}
"""Filters with which all tabs can be counted from indexes."""
UNCOUNTED = {"succeeded"}
"""Tabs whose runs no index tells apart."""
GLANCE = 2000
"""The next runs among which a search is tried first on SQLite, which would sort the runs of all jobs that it finds."""
ANNOUNCED = 100
"""The count of new runs stops here."""


class RunChangeList(BaseChangeList):
    """The list of runs. It does not count pages, and does not read long texts."""

    own_params: ClassVar[frozenset[str]] = frozenset({CURSOR, SEEN, OPEN})
    page: Page
    search: RunSearch

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Keep the position out of the links, so that a list with another filter begins at the newest run."""
        super().__init__(request, *args, **kwargs)
        for name in self.own_params:
            self.params.pop(name, None)
            self.filter_params.pop(name, None)

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Run]:
        """Return the runs with the beginning of their errors."""
        runs: QuerySet[Run] = super().get_queryset(request, exclude_parameters)
        self.search = parse_search(self.query, request_now(request))
        return runs.annotate(error_start=error_start(FIRST_LINE))

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Run]) -> Any:
        """Return the only order with an index. Any other would read every run."""
        return ("-scheduled_time", "-id")

    def get_results(self, request: HttpRequest) -> None:
        """Read the runs of the page, and one more to know whether there is another page."""
        given = request.GET.get(CURSOR)
        try:
            cursor: Cursor | None = read_cursor(given) if given else None
        except ValueError as error:
            raise IncorrectLookupParameters from error
        seen = run_number(request.GET.get(SEEN, ""))
        runs = cast(RunQuerySet, self.queryset if seen is None else self.queryset.filter(pk__lte=seen))
        search = self.search
        # The runs of some jobs have an index of their own (`run_unsuccessful`).
        of_jobs = "job" in self.params or search.jobs or search.words
        group = "" if of_jobs else search.status or self.params.get("status", "")
        glance = GLANCE if connection.vendor == "sqlite" and (search.jobs or search.words) else 0
        self.page = page_of(runs, READ, cursor, self.list_per_page, parts=by_status(runs, group), glance=glance)
        self.result_list = self.page.rows
        self.result_count = len(self.page.rows)
        self.full_result_count, self.show_full_result_count, self.show_admin_actions = None, False, True
        self.can_show_all = self.multi_page = False
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)


def search_runs(runs: QuerySet[Run], text: str, request: HttpRequest) -> QuerySet[Run]:
    """Return the runs among `runs` that match the words and qualifiers of a search."""
    now = request_now(request)
    return narrowed(cast(RunQuerySet, runs), parse_search(text, now), now)


def run_list_context(changelist: RunChangeList, request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page of the list."""
    model_admin: Any = changelist.model_admin
    site, times = model_admin.admin_site, Times.of(request)
    url, counted = model_url(site, Run, "changelist"), _counts(changelist, request)
    query = changelist.get_query_string()
    given = request.GET.get(CURSOR)
    here = changelist.get_query_string({CURSOR: given}) if given else query
    allowed = model_admin.allowed(request)
    newest, new = _news(changelist, request)
    logs = OpenLogs.of(request, f"{url}{here}", _live(f"{url}{here}", newest))
    chosen = changelist.params.get("status", "")
    return {
        "rows": run_rows(site, changelist.page.rows, times, logs),
        "tabs": _tabs(changelist, counted),
        "chips": lists.chips(changelist),
        "hidden": list(lists.hidden(changelist)),
        "query": changelist.query,
        "qualifiers": SUGGESTED,
        "problems": changelist.search.problems,
        "limited": changelist.search.reads_rows,
        "clear_url": url,
        "narrowed": lists.is_narrowed(changelist),
        "pager": _pager(changelist, counted.get(chosen)),
        "total": counted.get(chosen) if (counted.get(chosen) or 0) <= model_admin.most_at_once else None,
        "exports": [(kind.upper(), f"{url}export/{kind}/{query}") for kind in export.KINDS],
        "allowed": allowed,
        "may_select": bool(allowed),
        "action_url": f"{url}{here}",
        "filters": here.removeprefix("?"),
        "new": new,
        "new_url": f"{url}{query}",
        "live_url": logs.live_url,
        "times": times,
    }  # fmt: skip


def _live(here: str, newest: int | None) -> str:
    """Return the address of polls: the list as it is, with the newest run that the page knows."""
    if newest is None:
        return here
    return f"{here}{'' if here.endswith('?') else '&'}{urlencode({SEEN: newest})}"


def _news(changelist: RunChangeList, request: HttpRequest) -> tuple[int | None, str]:
    """Return the newest run that the page knows, and the number of newer ones, in words."""
    if request.GET.get(CURSOR):
        return None, ""  # a page further back has no news
    seen = run_number(request.GET.get(SEEN, ""))
    if seen is None:
        return Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0, ""
    number = changelist.queryset.filter(pk__gt=seen).order_by().values("pk")[: ANNOUNCED + 1].count()
    words = f"{ANNOUNCED:,}+" if number > ANNOUNCED else f"{number:,}"
    return seen, f"{words} new {'run' if number == 1 else 'runs'}" if number else ""


def _counts(changelist: RunChangeList, request: HttpRequest) -> dict[str, int]:
    """Return the counts of the tabs: of all if only `CHEAP` filters narrow the list, or else of the chosen one.

    Counts that would have to read rows are left out.
    """
    search, runs = changelist.search, changelist.queryset
    if search.problems or search.reads_rows or search.error or search.longer or search.shorter:
        return {}
    if changelist.query or not changelist.params.keys() <= CHEAP:
        return capped_counts({changelist.params.get("status", ""): runs})
    if changelist.params.get("status"):
        runs = changelist.get_queryset(request, exclude_parameters=[StatusFilter.parameter_name])
    wanted = {name: runs if not name else with_status(cast(RunQuerySet, runs), name) for name, _ in TABS}
    return capped_counts({name: rows for name, rows in wanted.items() if name not in UNCOUNTED})


def _tabs(changelist: RunChangeList, counted: dict[str, int]) -> list[Link]:
    chosen = changelist.params.get("status", "")
    links = []
    for name, label in TABS:
        number = counted.get(name)
        words = "" if number is None else f"{MAX_COUNTED:,}+" if number > MAX_COUNTED else f"{number:,}"
        url = changelist.get_query_string({"status": name or None})
        links.append(Link(label, url, name == chosen, words, name == "failures" and bool(number)))
    return links


def _pager(changelist: RunChangeList, total: int | None) -> Pager:
    page, shown = changelist.page, changelist.result_count
    words = f"{shown:,} {'run' if shown == 1 else 'runs'}"
    if page.older or page.newer:
        many = "" if total is None else f" of {MAX_COUNTED:,}+" if total > MAX_COUNTED else f" of {total:,}"
        words = f"{shown:,}{many} runs, newest first"

    def url(cursor: Cursor | None) -> str:
        return changelist.get_query_string({CURSOR: str(cursor)}) if cursor else ""

    return Pager(words, url(page.newer), url(page.older))


EXPORTED = (
    "id", "job_id", "func", "status", "reason", "trigger", "actor", "scheduled_time", "queued_at", "started_at",
    "finished_at", "duration", "attempt", "fire_times", "scheduler_id", "executor", "error",
)  # fmt: skip
"""The columns of an export."""


def exported(runs: QuerySet[Run]) -> Iterator[dict[str, Any]]:
    """Yield the runs of an export, each with the columns of `EXPORTED`."""
    names = [name for name in EXPORTED if name != "duration"]
    for values in runs.values_list(*names).iterator(chunk_size=1000):
        row = dict(zip(names, values, strict=True))
        took = length_of(row["started_at"], row["finished_at"])
        yield {**row, "duration": None if took is None else took.total_seconds()}


def export_runs(changelist: RunChangeList, request: HttpRequest, kind: str) -> StreamingHttpResponse:
    """Answer with all runs of the list as a file."""
    return export.download(kind, "runs", EXPORTED, exported(changelist.queryset), request_now(request))
