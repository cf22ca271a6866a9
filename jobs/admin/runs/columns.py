"""What the list and the page of a run show of it. People and programs wrote the texts: each is escaped."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html
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


def _amount(run: Run) -> str:
    if run.progress_done is None:
        return ""
    return f"{run.progress_done:,}" + ("" if run.progress_total is None else f" of {run.progress_total:,}")


def _instant(run: Run, name: str) -> SafeString | str:
    return display.instant(getattr(run, name), row_now(run), ZoneInfo(settings.TIME_ZONE))
