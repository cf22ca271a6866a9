"""The filters of the list of runs. Each reads an index, or stops at the end of the page."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ...core.runs import RunStatus, RunTrigger
from ...models import Run
from ...models.run import RunQuerySet
from ...selectors.run_search import GROUPS, with_status
from ..filters import FieldFilter, InstantFilter, NamedFilter, SpanFilter


class StatusFilter(FieldFilter):
    """Runs of one status, or of several that belong together."""

    title = parameter_name = "status"
    values = tuple(RunStatus)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the statuses."""
        return [*super().lookups(request, model_admin), *GROUPS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to the chosen status."""
        chosen = self.value()
        return with_status(cast(RunQuerySet, queryset), chosen) if chosen else queryset


class TriggerFilter(FieldFilter):
    """Runs by their trigger."""

    title = "started by"
    parameter_name = "trigger"
    values = tuple(RunTrigger)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to those of the chosen trigger."""
        runs, chosen = cast(RunQuerySet, queryset), self.value()
        return runs.made_by(chosen) if chosen else runs


class ScheduledFilter(SpanFilter):
    """Runs scheduled within a time up to now."""

    title = "scheduled"
    field = "scheduled_time"


class JobFilter(NamedFilter):
    """Runs of one job, even of a removed one."""

    title = parameter_name = "job"
    field = "job_id"


class ErrorFilter(NamedFilter):
    """Runs whose error, or reason, contains a text. The page of failures links to it, with a job or a time."""

    title = parameter_name = "error"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to those whose error contains the text."""
        if not (text := self.value()):
            return queryset
        return queryset.filter(Q(error__has_text=text) | Q(reason__has_text=text))


class FromFilter(InstantFilter):
    """Runs scheduled at an instant or later."""

    title = parameter_name = "from"
    field = "scheduled_time__gte"


class ToFilter(InstantFilter):
    """Runs scheduled before an instant."""

    title = parameter_name = "to"
    field = "scheduled_time__lt"
    end = True


RUN_FILTERS = (StatusFilter, TriggerFilter, ScheduledFilter, JobFilter, ErrorFilter, FromFilter, ToFilter)
"""The filters, in the order of the bar."""
