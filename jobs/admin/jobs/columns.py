"""The columns of the list of jobs. They ask the database nothing: the row and the registry have it all."""

from __future__ import annotations

import json

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.exceptions import CronzimusError
from ...core.runs import JobState
from ...definitions import validation
from ...models import Job
from ...selectors import states
from .. import display
from ..request_time import moment_at
from ..row_action_views import VerbViews
from ..row_actions import pause_end
from ..runs.filters import UNSUCCESSFUL

NO_FIRE_TIME = {JobState.PAUSED: "paused", JobState.COMPLETED: "no fire time left", JobState.BROKEN: "broken"}
"""Why a job has no next fire time, by its state."""


class JobColumns(VerbViews):
    """What the list shows of a job."""

    @admin.display(description="Job", ordering="id")
    def job_id(self, job: Job) -> str:
        """Return the id, which Django makes a link to the job."""
        return job.pk

    @admin.display(description="Name", ordering="name")
    def named(self, job: Job) -> SafeString:
        """Return the name and the tags; the description on hovering."""
        tags = job.tags if isinstance(job.tags, list) else []
        tag_list = format_html_join("", ' <span class="tag">{}</span>', ((str(tag),) for tag in tags))
        # <bdi>: what a name turns from right to left ends with it.
        return format_html('<bdi title="{}">{}</bdi>{}', job.description, job.name, tag_list)

    @admin.display(description="State")
    def state(self, job: Job) -> SafeString:
        """Return the state, and why it is broken where it is."""
        state, error = states.job_state(job, moment_at(job))
        shown = display.job_badge(state)
        if not error:
            return format_html("{}{}", shown, self._until(job))
        return format_html('{}<div class="problem" title="{}">{}</div>', shown, error, display.first_line(error))

    def _until(self, job: Job) -> SafeString | str:
        until = pause_end(job, moment_at(job))
        if until is None:
            return ""
        shown = '<div class="quiet">until <time datetime="{}">{}</time></div>'
        return format_html(shown, until.isoformat(timespec="seconds"), display.local(until, states.zone_of(job)))

    @admin.display(description="Trigger")
    def trigger_words(self, job: Job) -> str:
        """Return the trigger in words; a damaged one by what little can be said."""
        try:
            return validation.trigger_of(job).describe()
        except CronzimusError:
            return states.short_form(job)

    @admin.display(description="Next run", ordering="next_run_time")
    def next_run(self, job: Job) -> SafeString | str:
        """Return the next fire time in the job's zone, or why there is none."""
        if job.next_run_time is None:
            state, _ = states.job_state(job, moment_at(job))
            return format_html('<span class="quiet">{}</span>', NO_FIRE_TIME.get(state, display.NOTHING))
        return display.instant(job.next_run_time, moment_at(job), states.zone_of(job))

    @admin.display(description="Last result", ordering="last_run_at")
    def last_result(self, job: Job) -> SafeString | str:
        """Return what came of the last run, and when."""
        if not job.last_status:
            return format_html('<span class="quiet">{}</span>', "never ran")
        ended = display.ago(job.last_run_at, moment_at(job))
        return format_html("{} <br>{}", display.run_badge(job.last_status), ended)

    @admin.display(description="Runs", ordering="run_count")
    def ran(self, job: Job) -> SafeString:
        """Return how many runs ended, and how many of them did not succeed, as links to them."""
        kind = "failures" if job.failure_count else "quiet"
        failed = runs_url(job.pk, status=UNSUCCESSFUL)
        return format_html(
            '<a href="{}">{} ran</a> <br><a class="{}" href="{}">{} failed</a>',
            runs_url(job.pk), f"{job.run_count:,}", kind, failed, f"{job.failure_count:,}",
        )  # fmt: skip

    @admin.display(description="Retries")
    def retries_words(self, job: Job) -> str:
        """Return the retries for those who may only look, damaged as they may be."""
        return "none" if job.retries is None else json.dumps(job.retries, ensure_ascii=False)

    @admin.display(description="Actions")
    def buttons(self, job: Job) -> SafeString:
        """Return the row's buttons."""
        return self.row_buttons(job, offered(job), job.pk)


def offered(job: Job) -> tuple[str, ...]:
    """Return the names of the verbs that make sense for a job as it is, for a row of the list."""
    return ("run", "resume" if states.is_paused(job, moment_at(job)) else "pause", "duplicate")


def offered_on_page(job: Job) -> tuple[str, ...]:
    """Return the names of the verbs for the page of a job, which has room for more of them."""
    run, pause, duplicate = offered(job)
    return (run, pause, *(("skip",) if job.next_run_time is not None else ()), duplicate)


def runs_url(job_id: str, **filters: str) -> str:
    """Return the address of the runs of a job."""
    return f"{reverse('admin:cronzimus_run_changelist')}?{urlencode({'job': job_id, **filters})}"
