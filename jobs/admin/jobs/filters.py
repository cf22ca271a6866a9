"""The filters of the list of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from ...core.runs import FINISHED
from ...models import Job
from ...models.job import JobQuerySet
from ...selectors import counts
from ...selectors.job_list import in_states
from ...selectors.job_options import TRIGGER_TYPE, TRIGGER_ZONE, JobOptions, job_options
from ..filters import BarFilter, FieldFilter, OptionFilter
from ..request_time import request_now

STATE_WORDS = {"never": "never ran"}
"""The words of states that differ from their names."""


def request_options(request: HttpRequest) -> JobOptions:
    """Return the options of the filters, read once for each request."""
    kept: dict[str, JobOptions] = vars(request)
    if "cronzimus_job_options" not in kept:
        kept["cronzimus_job_options"] = job_options()
    return kept["cronzimus_job_options"]


class StateFilter(BarFilter):
    """Jobs of one state: the tabs."""

    title = "state"
    parameter_name = "state"
    is_tab = True

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


class TagFilter(OptionFilter):
    """Jobs with one tag."""

    title = parameter_name = "tag"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the tags in use."""
        return request_options(request).tags

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to those with the chosen tag."""
        chosen = self.value()
        return cast(JobQuerySet, queryset).tagged(chosen) if chosen else queryset


class FunctionFilter(OptionFilter):
    """Jobs that call one function."""

    title = parameter_name = "function"
    field = "func"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the functions that jobs call."""
        return request_options(request).functions


class TriggerFilter(OptionFilter):
    """Jobs with one type of trigger."""

    title = parameter_name = "trigger"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the types of triggers in use."""
        return request_options(request).triggers

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to those with the chosen type of trigger."""
        chosen = self.value()
        return queryset.alias(trigger_type=TRIGGER_TYPE).filter(trigger_type=chosen) if chosen else queryset


class ZoneFilter(OptionFilter):
    """Jobs of one time zone; a job that names none has the site's."""

    title = "time zone"
    parameter_name = "zone"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the time zones in use."""
        return request_options(request).zones

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Narrow the jobs to those of the chosen time zone."""
        chosen = self.value()
        if not chosen:
            return queryset
        of_zone = Q(trigger_zone=chosen) | (Q(trigger_zone=None) if chosen == settings.TIME_ZONE else Q())
        return queryset.alias(trigger_zone=TRIGGER_ZONE).filter(of_zone)


class LastResultFilter(FieldFilter):
    """Jobs by the status of their last run."""

    title = "last result"
    parameter_name = "last"
    field = "last_status"
    values = FINISHED


class OwnerFilter(OptionFilter):
    """Jobs of one owner."""

    title = parameter_name = "owner"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the owners of jobs."""
        return request_options(request).owners


class ExecutorFilter(OptionFilter):
    """Jobs of one executor."""

    title = parameter_name = "executor"

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the executors in use."""
        return request_options(request).executors


JOB_FILTERS = (
    StateFilter, TagFilter, FunctionFilter, TriggerFilter, ZoneFilter, LastResultFilter, OwnerFilter,
    ExecutorFilter,
)  # fmt: skip
"""The filters, in the order of the bar."""
ORDERS: dict[str, tuple[Any, ...]] = {
    "": ("trouble", F("next_run_time").asc(nulls_last=True), "id"),
    "id": ("id",),
    "-id": ("-id",),
    "last": (F("last_run_at").asc(nulls_first=True), "id"),
    "-last": (F("last_run_at").desc(nulls_last=True), "id"),
    "next": (F("next_run_time").asc(nulls_last=True), "id"),
    "-next": (F("next_run_time").desc(nulls_last=True), "id"),
}
"""The orders of the list, by the parameter `o`."""
