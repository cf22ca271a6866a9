"""The context of the page with a job's form: everything but the inputs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from ...core.exceptions import CronzimusError
from ...core.json import parse_strict
from ...definitions import policies
from ...functions import registry
from ...models import Job
from ...selectors import states
from ...selectors.job_options import form_suggestions
from ..pages import page_context
from ..request_time import request_now
from ..row_action_views import row_url
from ..times import Times
from . import arguments
from .api_calls import form_snippets
from .form import JobForm, stored_policies
from .preview import preview

CRONTAB_FIELDS = ("minute", "hour", "day", "month", "weekday")
"""The names of the fields of a crontab line in the form."""
PRESETS = (
    ("*/15 * * * *", "every 15 minutes"), ("0 * * * *", "hourly"), ("0 3 * * *", "daily"),
    ("0 9 * * 1-5", "weekdays at 9"), ("0 3 * * 1", "weekly"), ("0 3 1 * *", "monthly"),
)  # fmt: skip
"""Crontab lines that the form offers, with their labels."""


DOORS = {
    "api": " over the API", "command": " on the command line", "file": " with a file", "settings": " by the settings",
    "scheduler": " by the scheduler",
}  # fmt: skip
"""The doors of changes other than the admin, in words."""


def form_context(admin: Any, request: HttpRequest, job: Job | None, form: JobForm) -> dict[str, Any]:
    """Return the context of the form of `job`, or of a new one."""
    times = Times.of(request)
    shared = {
        **page_context(admin.admin_site, request),
        "live_url": "",
        "title": f"Edit {job.pk}" if job is not None else "New job",
        "form": form,
        "job": job,
        "crontab_fields": CRONTAB_FIELDS,
        "presets": PRESETS,
        "may_run": admin.has_run_permission(request),
        "may_pause": admin.has_pause_permission(request),
        "preview": preview(form) if job is not None or form.is_bound else None,
        "snippets": form_snippets(request, form),
        "suggestions": form_suggestions(),
    }
    if job is None:
        urls = {"preview_url": admin.page_url("preview_new"), "arguments_url": admin.page_url("arguments_new")}
        return {**shared, **urls, "back": admin.page_url("changelist")}
    changed = form.last_change
    return {
        **shared,
        "preview_url": row_url(job, "preview"),
        "arguments_url": row_url(job, "arguments"),
        "problem": states.job_state(job, request_now(request))[1],
        "damaged": policies.policy_problems(stored_policies(job)),
        "back": admin.page_url("change", job.pk),
        "history_url": admin.page_url("history", job.pk),
        "changed_by": changed.actor if changed is not None else "",
        "changed_door": DOORS.get(changed.door, "") if changed is not None else "",
        "changed_at": times.ago(changed.at if changed is not None else job.updated_at),
        "versions_url": admin.page_url("versions", job.pk),
    }


def arguments_context(form: JobForm) -> dict[str, Any]:
    """Return the inputs of the function in the sent `form`."""
    try:
        function = registry.lookup(str(form.data.get("func") or ""))
    except CronzimusError:
        return {"function": None, "arguments": [], "injected": []}
    typed = form.typed()
    if typed is not None:
        inputs = typed[2]
    elif arguments.sent(form.data):  # another function was chosen
        inputs = arguments.inputs_of(function, [], {})
    else:
        inputs = arguments.inputs_of(function, *(_json(form.data.get(name)) for name in ("args", "kwargs")))
    return {"function": function, "arguments": inputs, "injected": arguments.injected_of(function)}


def _json(text: Any) -> Any:
    try:
        return parse_strict(str(text)) if text else None
    except ValueError:
        return None
