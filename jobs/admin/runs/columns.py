"""What the list and the page of a run show of it. Every text is somebody's and is escaped."""

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
from ..base import ReadOnlyAdmin
from ..request_time import moment_at
from ..row_action_views import VerbViews
from ..row_actions import change_link
from .actions import offered

ATTEMPTS = 100
"""So many attempts the page of a run names; a job retries no more often."""


class RunColumns(ReadOnlyAdmin, VerbViews):
    """The columns of the list, and the fields of the page."""

    @admin.display(description="Run", ordering="id")
    def run_id(self, run: Run) -> int:
        """Return the id, which Django makes a link to the run."""
        return run.pk

    @admin.display(description="Job")
    def job_link(self, run: Run) -> SafeString:
        """Return a link to the job, or its id and that it was removed."""
        if run.job_exists:  # type: ignore[attr-defined]
            return change_link(Job(pk=run.job_id))
        return format_html('{} <span class="quiet">{}</span>', run.job_id, "(removed)")

    @admin.display(description="Status")
    def status_badge(self, run: Run) -> SafeString:
        """Return the status as icon and word, and what a queued or running one has come to."""
        shown = display.run_badge(run.status)
        note = self._note(run)
        return format_html('{}<div class="quiet">{}</div>', shown, note) if note else shown

    @admin.display(description="Status")
    def status_word(self, run: Run) -> SafeString:
        """Return the status alone: the page has the rest in fields of its own."""
        return display.run_badge(run.status)

    def _note(self, run: Run) -> SafeString | str:
        if run.status not in ACTIVE:
            return ""
        if run.cancel_requested_at is not None:
            return "asked to stop"
        if run.status == RunStatus.QUEUED and run.available_at and run.available_at > moment_at(run):
            return format_html("waits: {}", display.ago(run.available_at, moment_at(run)))
        return self._amount(run)

    @admin.display(description="Actions")
    def buttons(self, run: Run) -> SafeString:
        """Return the row's button."""
        return self.row_buttons(run, offered(run), f"run {run.pk}")

    @admin.display(description="Started by")
    def made_by(self, run: Run) -> str:
        """Return what made the run, and who."""
        return f"{run.trigger}: {run.actor}" if run.actor else run.trigger

    @admin.display(description="Scheduled", ordering="scheduled_time")
    def scheduled(self, run: Run) -> SafeString | str:
        """Return the fire time, or when a person asked for the run."""
        return _instant(run, "scheduled_time")

    @admin.display(description="Queued")
    def queued(self, run: Run) -> SafeString | str:
        """Return when it was queued."""
        return _instant(run, "queued_at")

    @admin.display(description="Waits until")
    def waits_until(self, run: Run) -> SafeString | str:
        """Return the instant before which it does not start: a retry waits."""
        return _instant(run, "available_at")

    @admin.display(description="Cancel asked for")
    def cancel_asked(self, run: Run) -> SafeString | str:
        """Return when somebody asked for its end."""
        return _instant(run, "cancel_requested_at")

    @admin.display(description="Attempt")
    def attempts(self, run: Run) -> SafeString:
        """Return which attempt it is, with links to the others of the same fire time."""
        same = Run.objects.filter(job_id=run.job_id, scheduled_time=run.scheduled_time).exclude(pk=run.pk)
        others = same.only("id", "attempt", "status").order_by("attempt")[:ATTEMPTS]
        links = format_html_join(", ", "{}", ((_attempt(other),) for other in others))
        return format_html("{} (others: {})", run.attempt, links) if links else format_html("{}", run.attempt)

    @admin.display(description="Timeout")
    def time_limit(self, run: Run) -> str:
        """Return how long it may take."""
        if not isinstance(run.timeout, int):  # a damaged row of SQLite may hold anything
            return "none" if run.timeout is None else str(run.timeout)
        return display.duration(timedelta(seconds=run.timeout))

    @admin.display(description="Started")
    def started(self, run: Run) -> SafeString | str:
        """Return when its function was called."""
        return _instant(run, "started_at")

    @admin.display(description="Finished")
    def finished(self, run: Run) -> SafeString | str:
        """Return when it ended."""
        return _instant(run, "finished_at")

    @admin.display(description="Start delay")
    def start_delay(self, run: Run) -> str:
        """Return how long after its scheduled time it started."""
        return display.duration(duration(run.scheduled_time, run.started_at))

    @admin.display(description="Duration")
    def took(self, run: Run) -> str:
        """Return how long it took, or has taken so far."""
        if run.status == RunStatus.RUNNING and run.started_at:
            return f"{display.duration(moment_at(run) - run.started_at)} so far"
        return display.duration(run.duration)

    @admin.display(description="Error")
    def first_error(self, run: Run) -> str:
        """Return the first line of the error, or the reason why it did not run."""
        return display.first_line(run.error_start or run.reason_start)  # type: ignore[attr-defined]

    @admin.display(description="Error")
    def error_text(self, run: Run) -> SafeString | str:
        """Return the error."""
        return display.block(run.error, "Error")

    @admin.display(description="Traceback")
    def traceback_text(self, run: Run) -> SafeString | str:
        """Return the traceback."""
        return display.block(run.traceback, "Traceback")

    @admin.display(description="Output")
    def output_text(self, run: Run) -> SafeString | str:
        """Return what the function printed and logged."""
        return display.block(run.output, "Output")

    @admin.display(description="Result")
    def result_text(self, run: Run) -> SafeString | str:
        """Return what the function returned, as JSON."""
        return display.block(
            "" if run.result is None else json.dumps(run.result, indent=2, ensure_ascii=False), "Result"
        )

    @admin.display(description="Arguments")
    def arguments(self, run: Run) -> SafeString:
        """Return what the function was called with, as JSON."""
        if run.args is None and run.kwargs is None:
            return format_html('<span class="quiet">{}</span>', "the job's own")
        return format_html("<code>{} {}</code>", *(json.dumps(v, ensure_ascii=False) for v in (run.args, run.kwargs)))

    @admin.display(description="Scheduler")
    def claimed_by(self, run: Run) -> str:
        """Return the id of the scheduler that took it."""
        return run.scheduler_id or display.NOTHING

    @admin.display(description="Progress")
    def progress(self, run: Run) -> SafeString | str:
        """Return how far it came, where it said so."""
        if run.progress_done is None or not run.progress_total:
            return self._amount(run) or display.NOTHING
        bar = '<progress max="{}" value="{}" aria-label="Progress"></progress> {}'
        return format_html(bar, run.progress_total, run.progress_done, self._amount(run))

    def _amount(self, run: Run) -> str:
        if run.progress_done is None:
            return ""
        return f"{run.progress_done:,}" + ("" if run.progress_total is None else f" of {run.progress_total:,}")


def _instant(run: Run, name: str) -> SafeString | str:
    return display.instant(getattr(run, name), moment_at(run), ZoneInfo(settings.TIME_ZONE))


def _attempt(run: Run) -> SafeString:
    return change_link(run, f"{run.attempt} {run.status.replace('_', ' ')}")
