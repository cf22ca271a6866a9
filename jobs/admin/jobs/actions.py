"""The actions on jobs: run, pause, resume, skip a fire time, duplicate, tag, delete."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.exceptions import InvalidRequest
from ...core.runs import MissedChoice
from ...models import Backfill, Job
from ...selectors import states
from .. import display
from ..row_actions import Call, RowAction, change_link
from . import effects

MAX_COPIES = 99
"""Copies that a job may have."""


def copy_id(job_id: str) -> str:
    """Return a free id for a copy of a job: "<id>-copy", "<id>-copy-2" and so on, within 64 characters.

    Raises `InvalidRequest` if all of them are taken.
    """
    endings = ["-copy", *(f"-copy-{number}" for number in range(2, MAX_COPIES + 1))]
    names = [job_id[: 64 - len(ending)] + ending for ending in endings]
    taken = set(Job.objects.filter(pk__in=names).values_list("pk", flat=True))
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise InvalidRequest(f"{job_id} has {MAX_COPIES} copies already")
    return free


def next_run(job: Job, now: datetime) -> str:
    """Return the next fire time of a job, in words."""
    if job.paused:
        return "paused: it does not run by itself"
    zone, end = states.zone_of(job), pause_end(job, now)
    until = f"paused until {display.local(end, zone)}, " if end else ""
    if job.next_run_time is None:
        return f"{until}no fire time left"
    return f"{until}next run {display.local(job.next_run_time, zone)}"


def pause_end(job: Job, now: datetime) -> datetime | None:
    """Return the instant at which the pause of a job ends by itself; None if it does not, or there is no pause."""
    return job.paused_until if not job.paused and job.is_paused(now) else None


def _run(job_id: Any, call: Call) -> SafeString:
    run = services.run_job(job_id, now=call.now, traceparent=call.traceparent)
    return format_html("{} ({})", job_id, change_link(call.site, run, f"run {run.pk}"))


def _pause(job_id: Any, call: Call) -> SafeString:
    return format_html("{}", services.pause_job(job_id, now=call.now).pk)


def _resume(job_id: Any, call: Call) -> SafeString:
    asked = call.data.get("missed") or MissedChoice.NONE.value
    if asked not in list(MissedChoice):
        raise InvalidRequest(fields={"missed": f"must be one of {', '.join(MissedChoice)}"})
    job, backfill = services.resume_with(job_id, missed=MissedChoice(asked), now=call.now)
    return format_html("{} ({}{})", job_id, next_run(job, call.now), _catching_up(backfill))


def _catching_up(backfill: Backfill | None) -> str:
    if backfill is None:
        return ""
    number = backfill.fire_times
    return f"; {number:,} fire {'time' if number == 1 else 'times'} of the pause {'runs' if number == 1 else 'run'} now"


def _skip(job_id: Any, call: Call) -> SafeString:
    skipped = services.get_job(job_id).next_run_time
    job = services.skip_next(job_id, now=call.now)
    at = display.local(skipped, states.zone_of(job)) if skipped else ""
    return format_html("{} at {} ({})", job_id, at, next_run(job, call.now))


def _duplicate(job_id: Any, call: Call) -> SafeString:
    copy = services.duplicate_job(job_id, copy_id(services.get_job(job_id).pk), now=call.now)
    return format_html("{}, which is paused", change_link(call.site, copy))


def _delete(job_id: Any, call: Call) -> SafeString:
    services.remove_job(job_id, now=call.now)
    return format_html("{}", job_id)


def _tag(job_id: Any, call: Call) -> SafeString:
    job, tag = services.get_job(job_id), call.data["tag"]
    tags = [name for name in job.tags if name != tag] if isinstance(job.tags, list) else []
    services.update_job(job_id, {"tags": tags if call.data["remove"] else [*tags, tag]}, now=call.now)
    return format_html("{}", job_id)


JOB_ACTIONS = {
    "run": RowAction(
        label="Run now", done="Queued to run", permissions=("run",), do=_run, bulk="Run {} now", effects=effects.of_run
    ),
    "pause": RowAction(label="Pause", done="Paused", permissions=("pause",), do=_pause, effects=effects.of_pause),
    "resume": RowAction(
        label="Resume", done="Resumed", permissions=("pause",), do=_resume, effects=effects.of_resume,
        form=effects.MissedForm,
    ),
    "skip": RowAction(
        label="Skip next run", done="Skipped", permissions=("pause",), do=_skip, bulk="Skip the next run of {}",
        effects=effects.of_skip,
    ),
    # A copy shows the arguments of its source.
    "duplicate": RowAction(
        label="Duplicate", done="Duplicated as", permissions=("add", "view"), do=_duplicate,
        effects=effects.of_duplicate,
    ),
}  # fmt: skip
"""The actions on a job, by name."""
BULK_ACTIONS = {
    **JOB_ACTIONS,
    "tag": RowAction(
        label="Tag", done="Tagged", permissions=("change",), do=_tag, effects=effects.of_tag, form=effects.TagForm
    ),
    # It has the name of Django's own action, and replaces it.
    "delete_selected": RowAction(
        label="Delete", done="Deleted", permissions=("delete",), do=_delete, effects=effects.of_delete, danger=True
    ),
}
"""The actions on many jobs at once, by name."""
