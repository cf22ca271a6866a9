"""The filters of the list of jobs."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest

from ...core.runs import FINISHED, Executor
from ...models import Job
from ...models.job import JobQuerySet
from ...selectors import counts
from ...selectors.job_list import in_states
from ..filters import BarFilter, FieldFilter
from ..request_time import request_now

STATE_WORDS = {"never": "never ran"}
"""The words of states, where they are not their names."""

MAX_OWNERS = 50
"""Owners that the filter offers."""


class StateFilter(BarFilter):
    """Jobs of one state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(name, STATE_WORDS.get(name, name)) for name in counts.KINDS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to the chosen state."""
        chosen = counts.KINDS.get(self.value() or "")
        if chosen is None:
            return queryset
        jobs = cast(JobQuerySet, queryset)
        found = in_states(jobs, chosen.states, request_now(request)) if chosen.states else jobs
        return found.filter(chosen.also)


class LastResultFilter(FieldFilter):
    """Jobs whose last run came to one status."""

    title = "last result"
    parameter_name = "last"
    field = "last_status"
    values = FINISHED


class OwnerFilter(BarFilter):
    """Jobs of one owner."""

    title = parameter_name = "owner"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the first owners by name; a search for owner:… finds the jobs of any."""
        owners = Job.objects.exclude(owner="").order_by("owner").values_list("owner", flat=True).distinct()
        return [(owner, owner) for owner in owners[:MAX_OWNERS]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to the chosen owner."""
        return queryset.filter(owner=self.value()) if self.value() else queryset


class ExecutorFilter(FieldFilter):
    """Jobs of one executor."""

    title = parameter_name = "executor"
    values = Executor
