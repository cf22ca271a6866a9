"""How the list of jobs is narrowed, by what the database knows without the triggers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ...core.runs import FINISHED, Executor, JobState
from ...functions import registry
from ...models import Job
from ..filters import BarFilter, FieldFilter
from ..request_time import request_now


def broken() -> Q:
    """Match the jobs that the database can tell for broken: those that the scheduler gave up, and unknown functions."""
    known = [function.reference for function in registry.functions()]
    return ~Q(func__in=known) | (~Q(error="") & Q(next_run_time=None))


def paused(now: datetime) -> Q:
    """Match the jobs that `states.is_paused` finds paused at `now`."""
    return Q(paused=True) | Q(paused_until__isnull=False, paused_until__gt=now)


STATES: dict[str, tuple[str, Callable[[datetime], Q]]] = {
    "active": ("active", lambda now: Q(next_run_time__isnull=False) & ~paused(now) & ~broken()),
    JobState.PAUSED: ("paused", lambda now: paused(now) & ~broken()),
    JobState.COMPLETED: ("completed", lambda now: Q(next_run_time=None) & ~paused(now) & ~broken()),
    JobState.BROKEN: ("broken", lambda now: broken()),
    "never": ("never ran", lambda now: Q(last_run_at=None)),
}
"""The choices of the filter by state: each with its word, and its condition at an instant."""


class StateFilter(BarFilter):
    """Jobs of one state."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(str(name), label) for name, (label, _) in STATES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to the chosen state."""
        chosen = STATES.get(self.value() or "")
        return queryset.filter(chosen[1](request_now(request))) if chosen else queryset


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
