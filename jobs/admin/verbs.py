"""What people do with a job beside editing it: run it now, pause, resume, duplicate; with one or with many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobs import services, states
from jobs.admin import display
from jobs.admin.moment import moment_of
from jobs.core.exceptions import CronzimusError, InvalidRequest
from jobs.models import Job

NAMED = 10
"""So many jobs a message names; of the rest it gives the number."""
COPIES = 99


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One thing to do with a job: `do(job id, now, actor)` does it and returns the words for the message."""

    label: str
    done: str
    permission: str
    do: Callable[[str, datetime, str], SafeString]


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
    return format_html("{} ({})", job_id, next_run(services.resume_job(job_id, now=now)))


def _duplicate(job_id: str, now: datetime, actor: str) -> SafeString:
    copy = services.duplicate_job(job_id, copy_id(services.get_job(job_id).pk), now=now)
    return format_html("{}, which is paused", change_link(copy))


def next_run(job: Job) -> str:
    """Return when a job runs next, in words."""
    if job.paused:
        return "paused: it does not run by itself"
    if job.next_run_time is None:
        return "no fire time left"
    return f"next run {display.local(job.next_run_time, states.zone_of(job))}"


VERBS = {
    "run": Verb(label="Run now", done="Queued to run", permission="change", do=_run),
    "pause": Verb(label="Pause", done="Paused", permission="change", do=_pause),
    "resume": Verb(label="Resume", done="Resumed", permission="change", do=_resume),
    "duplicate": Verb(label="Duplicate", done="Duplicated as", permission="add", do=_duplicate),
}


def perform(admin: ModelAdmin, request: HttpRequest, verb: Verb, job_ids: Iterable[str]) -> None:
    """Do `verb` with each of `job_ids`, put it on their record, and tell what was done and what was not.

    Each job is a transaction of its own: one that is refused stops none of the others.
    """
    done: list[SafeString] = []
    refused: list[SafeString] = []
    for job_id in job_ids:
        try:
            done.append(verb.do(job_id, moment_of(request), request.user.get_username()))
        except CronzimusError as error:
            refused.append(format_html("{}: {}", job_id, str(error)))
        else:
            admin.log_change(request, Job(pk=job_id), f"{verb.done}.")
    _tell(admin, request, verb.done, done, messages.SUCCESS)
    _tell(admin, request, f"{verb.label}, not possible", refused, messages.ERROR)


def _tell(admin: ModelAdmin, request: HttpRequest, what: str, named: list[SafeString], level: int) -> None:
    if named:
        rest = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        listed = format_html_join("; ", "{}", ((name,) for name in named[:NAMED]))
        admin.message_user(request, format_html("{}: {}{}.", what, listed, rest), level)
