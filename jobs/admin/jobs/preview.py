"""The preview of a trigger: its words and its next fire times, or the errors on saving it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.safestring import SafeString

from ...core.exceptions import InvalidTrigger
from ...core.triggers import Trigger, build_trigger, clean_trigger, warnings_of
from ...definitions.policies import policy_problems
from ...definitions.triggers import trigger_of
from ...models import Job
from ...models.job import DEFAULT_QUEUE
from ...selectors.retention import MAX_COUNTED, freed_runs
from ...selectors.warnings import queue_warnings, usual_duration
from .. import display
from . import policy_inputs, trigger_inputs
from .form import JobForm
from .policy_words import Policy, policy_words, retries_drawn

SHOWN = 10
"""Fire times that are shown."""


@dataclass(frozen=True, kw_only=True)
class FireTime:
    """A fire time in the preview: in the job's zone, in UTC, and relative to now."""

    iso: str
    local: str
    utc: str
    relative: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A trigger in words with its next fire times, or `problems` by label if it is not valid."""

    description: str = ""
    fire_times: list[FireTime] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    retries: SafeString | str = ""


def preview(form: JobForm) -> Preview:
    """Return the preview of the trigger from a form's inputs, as if it were saved now."""
    try:
        trigger = _trigger(form)
    except InvalidTrigger as error:
        problems = error.fields or {"trigger": str(error)}
        return Preview(problems=[(_label(form, name), message) for name, message in problems.items()])
    times = trigger.fire_times(form.now, _count(form))
    shown = [_shown(at, trigger.timezone, form.now) for at in times]
    job = form.job
    took = usual_duration(job.pk) if job is not None and job.run_count else None
    inputs = {name: form[name].value() if name == "coalesce" else str(form[name].value() or "").strip()
              for name in form.fields}  # fmt: skip
    policies = policy_inputs.policies_of(inputs)
    return Preview(
        description=trigger.describe(), fire_times=shown, warnings=_warnings(form, trigger, took),
        policies=[*policy_words(policies, trigger, took, form.now), *_kept(job, policies, form.now)],
        retries=retries_drawn(policies["retries"], took),
    )  # fmt: skip


def _kept(job: Job | None, policies: Mapping[str, Any], now: datetime) -> Iterator[Policy]:
    """Yield the sentence on the runs that the limits of `policies` delete."""
    limits = {name: policies.get(name) for name in ("keep_runs", "keep_days", "keep_failed_days")}
    if job is None or not job.run_count or policy_problems({name: n for name, n in limits.items() if n is not None}):
        return
    name = "keep_runs" if limits["keep_days"] is None else "keep_days"
    if limits[name] is None:
        return
    number = freed_runs(job.pk, now, **limits)
    many = f"more than {MAX_COUNTED:,}" if number > MAX_COUNTED else f"about {number:,}"
    words = (
        f"Once saved, {many} of its runs are deleted." if number else "All runs that it has now are within the limits."
    )
    yield Policy(name, number > 0, words)


def _trigger(form: JobForm) -> Trigger:
    definition, job = form.trigger_definition(), form.job
    if job is not None and definition == job.trigger:
        return trigger_of(job)
    zone, now, grace = settings.TIME_ZONE, form.now, form.grace()
    clean = clean_trigger(definition, now=now, default_timezone=zone, grace=grace if isinstance(grace, int) else None)
    key = job.pk if job is not None else str(form["id"].value() or "")
    return build_trigger(clean, anchor=now.replace(microsecond=0), default_timezone=zone, key=key)


def _count(form: JobForm) -> int:
    """Return the number of fire times to show: at most as many as `max_runs` leaves."""
    most = policy_inputs.whole(str(form["max_runs"].value() or ""))
    done = 0 if form.job is None else form.job.claimed_count
    return min(SHOWN, max(most - done, 0)) if isinstance(most, int) else SHOWN


def _warnings(form: JobForm, trigger: Trigger, took: float | None) -> list[str]:
    job = form.job
    instances = job.max_instances if job is not None else 1
    found = warnings_of(trigger, now=form.now, usual_duration=took, max_instances=instances)
    if "queue" in form.fields:
        executor, queue = (str(form[name].value() or "").strip() for name in ("executor", "queue"))
        found += queue_warnings(executor, queue or DEFAULT_QUEUE, form.now)
    return [warning.message for warning in found]


def _shown(at: datetime, zone: ZoneInfo, now: datetime) -> FireTime:
    utc = at.astimezone(UTC)
    return FireTime(
        iso=utc.isoformat(timespec="seconds"),
        local=display.local(at, zone),
        utc=f"{utc:%H:%M:%S}",
        relative=display.relative(at, now),
    )


def _label(form: JobForm, field: str) -> str:
    name = trigger_inputs.input_of(str(form["trigger"].value() or ""), field)
    return str(form[name].label) if name in form.fields else name
