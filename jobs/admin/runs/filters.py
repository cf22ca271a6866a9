"""How the list of runs is narrowed. Each filter is answered from an index, or stops at the end of the page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ...core.runs import RunStatus, RunTrigger
from ...models import Job, Run
from ...models.run import RunQuerySet
from ..filters import BarFilter, FieldFilter
from ..request_time import request_now

UNSUCCESSFUL = "unsuccessful"
"""The choice of the filter by status that stands for several."""

SPANS = {
    "1h": ("past hour", timedelta(hours=1)),
    "24h": ("past 24 hours", timedelta(hours=24)),
    "7d": ("past 7 days", timedelta(days=7)),
    "30d": ("past 30 days", timedelta(days=30)),
}
"""The choices of the filter by time."""
MAX_ID = 2**63 - 1
"""The largest id that a database can be asked for."""
MAX_JOBS = 1000
"""Jobs whose runs a search finds at most."""


class StatusFilter(FieldFilter):
    """Runs of one status, or all that did not succeed."""

    title = parameter_name = "status"
    values = tuple(RunStatus)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the statuses."""
        return [(UNSUCCESSFUL, "not succeeded"), *super().lookups(request, model_admin)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to the chosen status."""
        runs, chosen = cast(RunQuerySet, queryset), self.value()
        if chosen == UNSUCCESSFUL:
            return runs.unsuccessful()
        return runs.of_status(chosen) if chosen else runs


class TriggerFilter(FieldFilter):
    """Runs that one kind of thing made."""

    title = parameter_name = "trigger"
    values = tuple(RunTrigger)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to those that the chosen kind of thing made."""
        runs, chosen = cast(RunQuerySet, queryset), self.value()
        return runs.made_by(chosen) if chosen else runs


class SpanFilter(BarFilter):
    """Runs scheduled within a time up to now."""

    title = "scheduled time"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the spans."""
        return [(name, label) for name, (label, _) in SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to the chosen span."""
        chosen = SPANS.get(self.value() or "")
        return queryset.filter(scheduled_time__gte=request_now(request) - chosen[1]) if chosen else queryset


class JobFilter(BarFilter):
    """Runs of one job, as links to this page name it; offered only where one is named: there may be thousands."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the job that the address names."""
        return [(named, named)] if (named := request.GET.get(self.parameter_name)) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to the named job, which need not exist any more."""
        return queryset.filter(job_id=self.value()) if self.value() else queryset


def found(runs: QuerySet[Run], words: str) -> QuerySet[Run]:
    """Return those of `runs` that `words` name: a run's id, a job's id, or a part of a job's id or name."""
    jobs = Job.objects.filter(Q(id__has_text=words) | Q(name__has_text=words))
    # As literals, not as a subquery: the planner of PostgreSQL then knows whether they have few runs or many.
    match = Q(job_id__in={words, *jobs.order_by("pk").values_list("pk", flat=True)[:MAX_JOBS]})
    number = run_number(words)
    return runs.filter(match if number is None else match | Q(pk=number))


def run_number(text: str) -> int | None:
    """Return the id of a run that `text` may be, None if it is no whole number that a database can be asked for."""
    number = int(text[:20]) if text.isascii() and text.isdigit() else MAX_ID + 1
    return number if number <= MAX_ID else None
