"""What the page of a job shows to people who may only look, as text."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.html import format_html
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
from .actions import pause_end

NO_FIRE_TIME = {JobState.PAUSED: "paused", JobState.COMPLETED: "no fire time left", JobState.BROKEN: "broken"}
"""Why a job has no next fire time, by its state."""


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


@admin.display(description="Retries")
def retries_words(job: Job) -> str:
    """Return the retries as they are stored, for users who may only look."""
    return "none" if job.retries is None else json.dumps(job.retries, ensure_ascii=False)


def runs_url(job: Job, **filters: str) -> str:
    """Return the address of the runs of a job."""
    return f"{model_url(row_site(job), Run, 'changelist')}?{urlencode({'job': job.pk, **filters})}"
