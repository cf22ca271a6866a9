"""The sections of the form of a job, in the order in which people think of them."""

from __future__ import annotations

from typing import Any

from ...core.triggers import CRON_FIELDS, INTERVAL_UNITS
from ...definitions import policies
from ...models import Job
from .policy_inputs import RETRIES_INPUTS, offers_workers
from .trigger_inputs import CALENDAR_INPUTS

Sections = tuple[tuple[str, dict[str, Any]], ...]
"""Fieldsets of Django's admin."""

ARGUMENTS = "The arguments of the function. Parameters of the types Database and RunContext are filled in for it."
"""The form's note on arguments."""
ZONES = "Clock changes: a time that the clock skips runs once, right after; one that comes twice runs once."
"""The form's note on time zones."""

CALENDAR = "Counts days of the calendar from the start date: one time of the day, also where clocks change."
"""The form's note on calendar intervals."""

WHAT = ("name", "description", "owner", "tags", "func")
"""The inputs that describe the job."""
CALLED: Sections = (("Called with", {"fields": ("args", "kwargs"), "description": ARGUMENTS}),)
"""The section of the arguments."""
WHEN: Sections = (
    ("When", {"fields": ("trigger",), "classes": ("trigger-kinds",)}),
    ("Every", {"fields": (tuple(INTERVAL_UNITS),), "classes": ("trigger-inputs", "trigger-interval")}),
    ("Cron fields", {"fields": (CRON_FIELDS[:4], CRON_FIELDS[4:]), "classes": ("trigger-inputs", "trigger-cron")}),
    ("Crontab", {"fields": ("crontab",), "classes": ("trigger-inputs", "trigger-crontab")}),
    ("Every so many days, weeks, months or years", {
        "fields": (tuple(CALENDAR_INPUTS)[:4], tuple(CALENDAR_INPUTS)[4:]),
        "classes": ("trigger-inputs", "trigger-calendarinterval"), "description": CALENDAR}),
    ("Once", {"fields": ("run_date",), "classes": ("trigger-inputs", "trigger-date")}),
    ("Between", {"fields": (("start_date", "end_date"), "jitter"), "classes": (
        "trigger-inputs", "trigger-interval", "trigger-cron", "trigger-crontab", "trigger-calendarinterval")}),
    ("Where", {"fields": ("timezone",), "classes": ("before-preview",), "description": ZONES}),
)  # fmt: skip
"""The sections of the trigger."""
HOW: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How it runs", ("executor", "queue", "timeout", "priority")),
    ("Late and overlapping runs", ("misfire_grace_time", "coalesce", "max_instances", "overlap", "queue_limit")),
    ("Retries", ("retries",)),
    ("Limit shared with other jobs", ("concurrency_group", "concurrency_limit")),
    ("End and record", ("max_runs", "pause_after", "keep_runs", "keep_days", "keep_failed_days")),
)
"""The policies by section; `INPUTS` has the policies with several inputs."""
INPUTS = {"retries": RETRIES_INPUTS}
"""The inputs of policies with more than one input."""


def form_sections(job: Job | None) -> Sections:
    """Return the sections of the form of `job`, or of a new one.

    A section is folded if all its policies have their defaults, so that differences are seen at once.
    """
    what = WHAT if job is not None else ("id", *WHAT)
    return (("What", {"fields": what}), *CALLED, *WHEN, *(_how(title, _shown(names, job), job) for title, names in HOW))


def _shown(names: tuple[str, ...], job: Job | None) -> tuple[str, ...]:
    executor = policies.default_policies()["executor"] if job is None else job.executor
    return tuple(name for name in names if name != "queue" or offers_workers(executor))


def _how(title: str, names: tuple[str, ...], job: Job | None) -> tuple[str, dict[str, Any]]:
    usual = policies.default_policies()
    own = job is not None and any(getattr(job, name) != usual[name] for name in names)
    inputs = tuple(part for name in names for part in INPUTS.get(name, (name,)))
    return title, {"fields": inputs, "classes": () if own else ("collapse",)}
