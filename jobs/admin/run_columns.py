"""What the list and the page of a run show of it. Every text is somebody's and is escaped."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.admin import display
from jobs.admin.base import ReadOnlyAdmin
from jobs.admin.moment import moment_at
from jobs.admin.verbs import change_link
from jobs.core.runs import RunStatus
from jobs.models import Job, Run
from jobs.models.run import duration


class RunColumns(ReadOnlyAdmin):
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
        """Return the status as icon and word."""
        return display.run_badge(run.status)

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
    def progress(self, run: Run) -> str:
        """Return how far it came, where it said so."""
        if run.progress_done is None:
            return display.NOTHING
        return f"{run.progress_done:,}" + ("" if run.progress_total is None else f" of {run.progress_total:,}")


def _instant(run: Run, name: str) -> SafeString | str:
    return display.instant(getattr(run, name), moment_at(run), ZoneInfo(settings.TIME_ZONE))
