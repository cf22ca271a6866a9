"""The policies in a job's form: an input for each, and several for the retries."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ...core.runs import Executor, Overlap
from ...definitions import policies
from ...models.job import DEFAULT_QUEUE
from ...selectors.workers import known_queues

USUAL_RETRIES = policies.complete_retries({"max": 1}) or {}
"""The retries if only their number is given."""

EXECUTORS = {
    Executor.THREAD: "thread: light, and cannot be stopped from outside",
    Executor.PROCESS: "process: of its own, and can be stopped",
    Executor.CELERY: "celery: a process of a Celery worker, on any machine",
}
"""The executors in the form."""
OVERLAPS = {
    Overlap.SKIP: "skip: leave the new fire time out",
    Overlap.QUEUE: "queue: let it wait for its turn",
    Overlap.REPLACE: "replace: cancel the oldest run for it",
}
"""The kinds of overlap in the form."""


class QueueInput(forms.TextInput):
    """A text input that offers the queues of the workers, and of other jobs."""

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        """Return the input and the list of names that it offers."""
        list_id = f"{name}-queues"
        field = super().render(name, value, {**(attrs or {}), "list": list_id}, renderer)
        queues = ((queue,) for queue in known_queues())
        options = format_html_join("", '<option value="{}"></option>', queues)
        return format_html('{}<datalist id="{}">{}</datalist>', field, list_id, options)


def text(label: str, help_text: str = "", widget: forms.Widget | None = None, **options: Any) -> forms.CharField:
    """Return a text input. It is never required: the validator reports missing values with all other errors."""
    return forms.CharField(label=label, help_text=help_text, widget=widget, required=False, **options)


def whole_number(label: str, help_text: str = "", least: int | None = 0) -> forms.CharField:
    """Return an input for a whole number."""
    bound = {} if least is None else {"min": least}
    return text(label, help_text, forms.NumberInput({**bound, "step": 1}))


def _amount(label: str, help_text: str, name: str, least: int = 0) -> forms.CharField:
    widget = forms.NumberInput({"min": least, "step": "any", "placeholder": f"{USUAL_RETRIES[name]:g}"})
    return text(label, help_text, widget)


class PolicyForm(forms.ModelForm):
    """The inputs of the policies; `jobs.admin.jobs.policy_inputs` reads them."""

    executor = text(
        "Executor",
        "What calls the function.",
        forms.Select(choices=[(name.value, EXECUTORS[name]) for name in Executor]),
    )
    queue = text(
        "Queue",
        f"The queue of the workers, with the executor “celery”. Empty: {DEFAULT_QUEUE}.",
        QueueInput({"class": "vTextField"}),
    )
    timeout = whole_number(
        "Timeout", "Seconds after which a run is stopped; such a job always runs in a process. Empty: none.", least=1
    )
    priority = whole_number(
        "Priority", "Where more is due than can start, higher ones start first: -1000 to 1000.", least=-1000
    )

    misfire_grace_time = whole_number(
        "Misfire grace time",
        "Seconds by which a run may start late; past that it is missed. Empty: any lateness is fine.",
    )
    coalesce = forms.BooleanField(
        label="Coalesce", required=False, help_text="Several fire times that are due at once give one run."
    )
    max_instances = whole_number("Max instances", "So many runs of the job may be active at once.", least=1)
    overlap = text(
        "Overlap",
        "What happens at a fire time while that many runs are active.",
        forms.Select(choices=[(name.value, OVERLAPS[name]) for name in Overlap]),
    )
    queue_limit = whole_number(
        "Queue limit", "With overlap “queue”: so many runs may wait; further ones are skipped.", 1
    )

    retries_max = whole_number(
        "Retries", "How often a run that failed, timed out or was lost is tried again. Empty or 0: never."
    )
    retries_delay = _amount("First delay", "Seconds to wait before the first retry.", "delay")
    retries_backoff = _amount("Backoff", "Each further wait is so many times as long as the last.", "backoff", 1)
    retries_max_delay = _amount("Longest delay", "No wait is longer than so many seconds.", "max_delay")
    retries_jitter = _amount(
        "Retry jitter", "Each wait grows by up to so many seconds, so that not all come back at once.", "jitter"
    )

    concurrency_group = text(
        "Concurrency group",
        "Jobs with the same group share one limit: ASCII letters, digits and _ . : -. Empty: none.",
        forms.TextInput({"class": "vTextField", "list": "groups"}),
    )
    concurrency_limit = whole_number(
        "Concurrency limit", "So many runs of the whole group may be active when one of this job starts.", least=1
    )

    max_runs = whole_number("Max runs", "After so many scheduled runs the job is completed. Empty: no end.", least=1)
    pause_after = whole_number(
        "Pause after", "After so many failures in a row the job pauses itself. Empty: never.", least=1
    )
    keep_runs = whole_number("Keep runs", "Only the newest so many runs stay on record. Empty: all.", least=1)
    keep_days = whole_number("Keep days", "Runs older than so many days are deleted. Empty: none.", least=1)
    keep_failed_days = whole_number(
        "Keep failed days", "Runs that did not succeed stay for so many days. Empty: as long as the others.", least=1
    )
