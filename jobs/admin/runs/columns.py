"""What the list and the page of a run show of it. People and programs wrote the texts: each is escaped."""

from __future__ import annotations

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.runs import ACTIVE, RunStatus
from ...models import Job, Run
from ...models.run import duration
from .. import display
from ..base import row_site
from ..request_time import row_now
from ..row_actions import change_link

ATTEMPTS = 100
"""Attempts that the page of a run names. A job retries at most as often."""


@admin.display(description="Run", ordering="id")
def run_id(run: Run) -> str:
    """Return the id, which Django makes a link to the run."""
    return str(run.pk)  # as a text: Django would put separators into a number


@admin.display(description="Job")
def job_link(run: Run) -> SafeString:
    """Return a link to the job, or its id and that it was removed."""
    if run.job_exists:  # type: ignore[attr-defined]
        return change_link(row_site(run), Job(pk=run.job_id))
    return format_html('{} <span class="quiet">{}</span>', run.job_id, "(removed)")


@admin.display(description="Status")
def status_badge(run: Run) -> SafeString:
    """Return the status as icon and word, and how far a queued or running run has come."""
    shown = display.run_badge(run.status)
    note = _note(run)
    return format_html('{}<div class="quiet">{}</div>', shown, note) if note else shown


@admin.display(description="Status")
def status_word(run: Run) -> SafeString:
    """Return the status alone: the page shows the rest in other fields."""
    return display.run_badge(run.status)


def _note(run: Run) -> SafeString | str:
    if run.status not in ACTIVE:
        return ""
    if run.cancel_requested_at is not None:
        return "asked to stop"
    if run.status == RunStatus.QUEUED and run.available_at and run.available_at > row_now(run):
        return format_html("waits: {}", display.ago(run.available_at, row_now(run)))
    return _amount(run)


@admin.display(description="Started by")
def made_by(run: Run) -> str:
    """Return what made the run, and who."""
    return f"{run.trigger}: {run.actor}" if run.actor else run.trigger


@admin.display(description="Scheduled", ordering="scheduled_time")
def scheduled(run: Run) -> SafeString | str:
    """Return the fire time, or when a person asked for the run."""
    return _instant(run, "scheduled_time")


@admin.display(description="Queued")
def queued(run: Run) -> SafeString | str:
    """Return when it was queued."""
    return _instant(run, "queued_at")


@admin.display(description="Waits until")
def waits_until(run: Run) -> SafeString | str:
    """Return the instant before which a retry does not start."""
    return _instant(run, "available_at")


@admin.display(description="Cancel asked for")
def cancel_asked(run: Run) -> SafeString | str:
    """Return when somebody asked for its end."""
    return _instant(run, "cancel_requested_at")


@admin.display(description="Attempt")
def attempts(run: Run) -> SafeString:
    """Return which attempt it is, with links to the others of the same fire time."""
    same = Run.objects.filter(job_id=run.job_id, scheduled_time=run.scheduled_time).exclude(pk=run.pk)
    others = same.only("id", "attempt", "status").order_by("attempt")[:ATTEMPTS]
    links = format_html_join(", ", "{}", ((_attempt(run, other),) for other in others))
    return format_html("{} (others: {})", run.attempt, links) if links else format_html("{}", run.attempt)


@admin.display(description="Timeout")
def time_limit(run: Run) -> str:
    """Return how long it may take."""
    if not isinstance(run.timeout, int):  # a damaged row of SQLite may hold anything
        return "none" if run.timeout is None else str(run.timeout)
    return display.duration(timedelta(seconds=run.timeout))


@admin.display(description="Started")
def started(run: Run) -> SafeString | str:
    """Return when its function was called."""
    return _instant(run, "started_at")


@admin.display(description="Finished")
def finished(run: Run) -> SafeString | str:
    """Return when it ended."""
    return _instant(run, "finished_at")


@admin.display(description="Start delay")
def start_delay(run: Run) -> str:
    """Return how long after its scheduled time it started."""
    return display.duration(duration(run.scheduled_time, run.started_at))


@admin.display(description="Duration")
def took(run: Run) -> str:
    """Return how long it took, or has taken so far."""
    if run.status == RunStatus.RUNNING and run.started_at:
        return f"{display.duration(row_now(run) - run.started_at)} so far"
    return display.duration(run.duration)


@admin.display(description="Error")
def first_error(run: Run) -> str:
    """Return the first line of the error, or the reason why it did not run."""
    return display.first_line(run.error_start or run.reason_start)  # type: ignore[attr-defined]


@admin.display(description="Error")
def error_text(run: Run) -> SafeString | str:
    """Return the error."""
    return display.block(run.error, "Error")


@admin.display(description="Traceback")
def traceback_text(run: Run) -> SafeString | str:
    """Return the traceback."""
    return display.block(run.traceback, "Traceback")


@admin.display(description="Output")
def output_text(run: Run) -> SafeString | str:
    """Return what the function printed and logged."""
    return display.block(run.output, "Output")


@admin.display(description="Result")
def result_text(run: Run) -> SafeString | str:
    """Return what the function returned, as JSON."""
    return display.block("" if run.result is None else json.dumps(run.result, indent=2, ensure_ascii=False), "Result")


@admin.display(description="Arguments")
def arguments(run: Run) -> SafeString:
    """Return what the function was called with, as JSON."""
    if run.args is None and run.kwargs is None:
        return format_html('<span class="quiet">{}</span>', "the job's own")
    return format_html("<code>{} {}</code>", *(json.dumps(v, ensure_ascii=False) for v in (run.args, run.kwargs)))


@admin.display(description="Scheduler")
def claimed_by(run: Run) -> str:
    """Return the id of the scheduler that claimed it."""
    return run.scheduler_id or display.NOTHING


@admin.display(description="Progress")
def progress(run: Run) -> SafeString | str:
    """Return the progress that the function reported."""
    if run.progress_done is None or not run.progress_total:
        return _amount(run) or display.NOTHING
    bar = '<progress max="{}" value="{}" aria-label="Progress"></progress> {}'
    return format_html(bar, run.progress_total, run.progress_done, _amount(run))


def _amount(run: Run) -> str:
    if run.progress_done is None:
        return ""
    return f"{run.progress_done:,}" + ("" if run.progress_total is None else f" of {run.progress_total:,}")


def _instant(run: Run, name: str) -> SafeString | str:
    return display.instant(getattr(run, name), row_now(run), ZoneInfo(settings.TIME_ZONE))


def _attempt(run: Run, other: Run) -> SafeString:
    return change_link(row_site(run), other, f"{other.attempt} {other.status.replace('_', ' ')}")
