"""What people do with a job beside editing it: run it, pause, resume, skip a fire time, duplicate; one or many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import quote
from django.db import IntegrityError
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from .. import services
from ..core.exceptions import CronzimusError, InvalidRequest
from ..models import Job
from ..selectors import states
from . import display
from .request_time import moment_of

NAMED = 10
"""So many rows a message names; of the rest it gives the number."""
COPIES = 99
"""Copies of a job at the most."""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One thing to do with a row: `do(its key, now, actor)` does it and returns the words for the message."""

    label: str
    done: str
    permission: str
    do: Callable[[Any, datetime, str], SafeString]
    bulk: str = ""
    """What the list of actions calls it, where the label is not enough."""


def change_link(row: Model, text: str = "") -> SafeString:
    """Return a link to a row's own page."""
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(row.pk)])
    return format_html('<a href="{}">{}</a>', url, text or str(row.pk))


def copy_id(job_id: str) -> str:
    """Return a free id for a copy of a job: "<id>-copy", "<id>-copy-2" and so on, within 64 characters.

    Raises `InvalidRequest` where all of them are taken.
    """
    endings = ["-copy", *(f"-copy-{number}" for number in range(2, COPIES + 1))]
    names = [job_id[: 64 - len(ending)] + ending for ending in endings]
    taken = set(Job.objects.filter(pk__in=names).values_list("pk", flat=True))
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise InvalidRequest(f"{job_id} has {COPIES} copies already")
    return free


def _run(job_id: str, now: datetime, actor: str) -> SafeString:
    run = services.run_job(job_id, now=now, actor=actor)
    return format_html("{} ({})", job_id, change_link(run, f"run {run.pk}"))


def _pause(job_id: str, now: datetime, actor: str) -> SafeString:
    return format_html("{}", services.pause_job(job_id, now=now).pk)


def _resume(job_id: str, now: datetime, actor: str) -> SafeString:
    return format_html("{} ({})", job_id, next_run(services.resume_job(job_id, now=now), now))


def _skip(job_id: str, now: datetime, actor: str) -> SafeString:
    skipped = services.get_job(job_id).next_run_time
    try:
        job = services.skip_next(job_id, now=now, actor=actor)
    except IntegrityError as error:  # an edit or a pause has brought back a fire time that is on record already
        raise InvalidRequest("its next fire time is on record already, and does not run again") from error
    left_out = display.local(skipped, states.zone_of(job)) if skipped else ""
    return format_html("{} at {} ({})", job_id, left_out, next_run(job, now))


def _duplicate(job_id: str, now: datetime, actor: str) -> SafeString:
    copy = services.duplicate_job(job_id, copy_id(services.get_job(job_id).pk), now=now)
    return format_html("{}, which is paused", change_link(copy))


def next_run(job: Job, now: datetime) -> str:
    """Return when a job runs next, in words."""
    if job.paused:
        return "paused: it does not run by itself"
    zone, end = states.zone_of(job), pause_end(job, now)
    until = f"paused until {display.local(end, zone)}, " if end else ""
    if job.next_run_time is None:
        return f"{until}no fire time left"
    return f"{until}next run {display.local(job.next_run_time, zone)}"


def pause_end(job: Job, now: datetime) -> datetime | None:
    """Return when the pause of a job ends by itself; None where it does not, or there is none."""
    return job.paused_until if not job.paused and states.is_paused(job, now) else None


VERBS = {
    "run": Verb(label="Run now", done="Queued to run", permission="change", do=_run),
    "pause": Verb(label="Pause", done="Paused", permission="change", do=_pause),
    "resume": Verb(label="Resume", done="Resumed", permission="change", do=_resume),
    "skip": Verb(label="Skip next run", done="Left out", permission="change", do=_skip),
    "duplicate": Verb(label="Duplicate", done="Duplicated as", permission="add", do=_duplicate),
}
"""What can be done with a job, by name."""


def perform(
    admin: ModelAdmin, request: HttpRequest, verb: Verb, keys: Iterable[Any], row: Callable[[Any], Model | None]
) -> None:
    """Do `verb` with the row of each of `keys`, put it on the record of what `row` returns, and tell what was done.

    Each is a transaction of its own: one that is refused stops none of the others.
    """
    done: list[SafeString] = []
    refused: list[SafeString] = []
    for key in keys:
        try:
            done.append(verb.do(key, moment_of(request), request.user.get_username()))
        except CronzimusError as error:
            refused.append(format_html("{}: {}", key, str(error)))
        else:
            put_on_record(admin, request, row(key), f"{verb.done}.")
    _tell(admin, request, verb.done, done, messages.SUCCESS)
    _tell(admin, request, f"{verb.label}, not possible", refused, messages.ERROR)


def put_on_record(admin: ModelAdmin, request: HttpRequest, row: Model | None, what: str) -> None:
    """Put what was done with a row on its record; None is one that is gone."""
    if row is not None:
        admin.log_change(request, row, what)


def _tell(admin: ModelAdmin, request: HttpRequest, what: str, named: list[SafeString], level: int) -> None:
    if named:
        rest = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        listed = format_html_join("; ", "{}", ((name,) for name in named[:NAMED]))
        admin.message_user(request, format_html("{}: {}{}.", what, listed, rest), level)
