"""How the list of jobs is narrowed: by what the database knows, without a look at the triggers."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from ...core.runs import FINISHED, Executor
from ...models import Job
from ...selectors import counts
from ..filters import BarFilter, FieldFilter
from ..request_time import request_now

STATE_WORDS = {"never": "never ran"}
"""The words of states, where they are not their names."""


class StateFilter(BarFilter):
    """Jobs of one state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(name, STATE_WORDS.get(name, name)) for name in counts.JOB_STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to the chosen state."""
        chosen = counts.JOB_STATES.get(self.value() or "")
        return queryset.filter(chosen(request_now(request))) if chosen else queryset


class LastResultFilter(FieldFilter):
    """Jobs whose last run came to one status."""

    title = "last result"
    parameter_name = "last"
    field = "last_status"
    values = FINISHED


class ExecutorFilter(FieldFilter):
    """Jobs of one executor."""

    title = parameter_name = "executor"
    values = Executor
