"""The columns of the list of jobs. They send no query: the row and the registry have everything."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.exceptions import CronzimusError
from ...core.runs import JobState
from ...definitions.triggers import trigger_of
from ...models import Job, Run
from ...selectors import states
from .. import display
from ..base import model_url, row_site
from ..request_time import row_now
from ..runs.filters import UNSUCCESSFUL
from .actions import pause_end

NO_FIRE_TIME = {JobState.PAUSED: "paused", JobState.COMPLETED: "no fire time left", JobState.BROKEN: "broken"}
"""Why a job has no next fire time, by its state."""


@admin.display(description="Job", ordering="id")
def job_id(job: Job) -> str:
    """Return the id. Django makes it a link to the job."""
    return job.pk


@admin.display(description="Name", ordering="name")
def named(job: Job) -> SafeString:
    """Return the name and the tags, with the description as a tooltip."""
    tags = job.tags if isinstance(job.tags, list) else []
    tag_list = format_html_join("", ' <span class="tag">{}</span>', ((str(tag),) for tag in tags))
    # <bdi>: a character that turns the direction of text in a name has no effect outside of it.
    return format_html('<bdi title="{}">{}</bdi>{}', job.description, job.name, tag_list)


@admin.display(description="State")
def state(job: Job) -> SafeString:
    """Return the state, and why the job is broken if it is."""
    found, error = states.job_state(job, row_now(job))
    shown = display.job_badge(found)
    if not error:
        return format_html("{}{}", shown, _until(job))
    return format_html('{}<div class="problem" title="{}">{}</div>', shown, error, display.first_line(error))


def _until(job: Job) -> SafeString | str:
    until = pause_end(job, row_now(job))
    if until is None:
        why = job.pause_reason if job.paused else ""
        return format_html('<div class="quiet">it {}</div>', why) if why else ""
    shown = '<div class="quiet">until <time datetime="{}">{}</time></div>'
    return format_html(shown, until.isoformat(timespec="seconds"), display.local(until, states.zone_of(job)))


@admin.display(description="Trigger")
def trigger_words(job: Job) -> str:
    """Return the trigger in words, or the short form of a damaged one."""
    try:
        return trigger_of(job).describe()
    except CronzimusError:
        return states.short_form(job)


@admin.display(description="Next run", ordering="next_run_time")
def next_run(job: Job) -> SafeString | str:
    """Return the next fire time in the job's zone, or why there is none."""
    if job.next_run_time is None:
        found, _ = states.job_state(job, row_now(job))
        return format_html('<span class="quiet">{}</span>', NO_FIRE_TIME.get(found, display.NOTHING))
    return display.instant(job.next_run_time, row_now(job), states.zone_of(job))


@admin.display(description="Last result", ordering="last_run_at")
def last_result(job: Job) -> SafeString | str:
    """Return the status of the last run, and when it ended."""
    if not job.last_status:
        return format_html('<span class="quiet">{}</span>', "never ran")
    ended = display.ago(job.last_run_at, row_now(job))
    return format_html("{} <br>{}", display.run_badge(job.last_status), ended)


@admin.display(description="Runs", ordering="run_count")
def ran(job: Job) -> SafeString:
    """Return how many runs ended, and how many of them did not succeed, as links to them."""
    kind = "failures" if job.failure_count else "quiet"
    return format_html(
        '<a href="{}">{} ran</a> <br><a class="{}" href="{}">{} failed</a>',
        runs_url(job), f"{job.run_count:,}", kind, runs_url(job, status=UNSUCCESSFUL), f"{job.failure_count:,}",
    )  # fmt: skip


@admin.display(description="Retries")
def retries_words(job: Job) -> str:
    """Return the retries as they are stored, for users who may only look."""
    return "none" if job.retries is None else json.dumps(job.retries, ensure_ascii=False)


def runs_url(job: Job, **filters: str) -> str:
    """Return the address of the runs of a job."""
    return f"{model_url(row_site(job), Run, 'changelist')}?{urlencode({'job': job.pk, **filters})}"
