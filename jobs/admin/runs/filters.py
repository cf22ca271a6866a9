"""The filters of the list of runs. Each reads an index, or stops at the end of the page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ...core.runs import RunStatus, RunTrigger
from ...core.times import parse_instant
from ...models import Run
from ...models.run import RunQuerySet
from ...selectors.run_search import GROUPS, with_status
from ..filters import BarFilter, FieldFilter
from ..request_time import request_now

UNSUCCESSFUL = "unsuccessful"
"""The choice of the filter by status for all runs that did not succeed."""
SPANS = {
    "1h": ("past hour", timedelta(hours=1)),
    "3h": ("past 3 hours", timedelta(hours=3)),
    "24h": ("past 24 hours", timedelta(hours=24)),
    "3d": ("past 3 days", timedelta(days=3)),
    "7d": ("past 7 days", timedelta(days=7)),
    "30d": ("past 30 days", timedelta(days=30)),
}
"""The choices of the filter by time."""


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


class SpanFilter(BarFilter):
    """Runs scheduled within a time up to now."""

    title = "scheduled"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the spans."""
        return [(name, label) for name, (label, _) in SPANS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to the chosen span."""
        chosen = SPANS.get(self.value() or "")
        return queryset.filter(scheduled_time__gte=request_now(request) - chosen[1]) if chosen else queryset


class NamedFilter(BarFilter):
    """A filter that is shown only if the address names a value: there may be thousands of values."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the value that the address names."""
        return [(named, named)] if (named := request.GET.get(str(self.parameter_name))) else []


class JobFilter(NamedFilter):
    """Runs of one job, even of a removed one."""

    title = parameter_name = "job"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to those of the named job."""
        return queryset.filter(job_id=self.value()) if self.value() else queryset


class ErrorFilter(NamedFilter):
    """Runs whose error, or reason, contains a text. The page of failures links to it, with a job or a time."""

    title = parameter_name = "error"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs to those whose error contains the text."""
        if not (text := self.value()):
            return queryset
        return queryset.filter(Q(error__has_text=text) | Q(reason__has_text=text))


class InstantFilter(NamedFilter):
    """Runs scheduled on one side of an instant."""

    lookup: ClassVar[str]
    end: ClassVar[bool] = False

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Narrow the runs by the named instant; a local time is in the site's zone."""
        if not (text := self.value()):
            return queryset
        try:
            at: datetime = parse_instant(text, ZoneInfo(settings.TIME_ZONE), end=self.end)
        except ValueError as error:
            raise IncorrectLookupParameters from error
        return queryset.filter(**{self.lookup: at})


class FromFilter(InstantFilter):
    """Runs scheduled at an instant or later."""

    title = parameter_name = "from"
    lookup = "scheduled_time__gte"


class ToFilter(InstantFilter):
    """Runs scheduled before an instant."""

    title = parameter_name = "to"
    lookup = "scheduled_time__lt"
    end = True


RUN_FILTERS = (StatusFilter, TriggerFilter, SpanFilter, JobFilter, ErrorFilter, FromFilter, ToFilter)
"""The filters, in the order of the bar."""
