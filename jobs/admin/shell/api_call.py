"""The call of the API that does the work of a page."""

from __future__ import annotations

from typing import NamedTuple

from django.http import HttpRequest
from django.utils.http import urlencode

from ..routes import api_url

CALLS = {
    "index": "listJobs", "job_overview": "listJobs", "job_changelist": "listJobs", "job_add": "addJob",
    "job_change": "showJob", "job_edit": "changeJob", "job_history": "listAudit", "job_delete": "removeJob",
    "job_run_with": "runJob", "job_resume_ask": "resumeJob", "job_skip": "skipFireTime",
    "job_versions": "listVersions", "job_upcoming": "listJobs", "job_transfer": "changeJobs",
    "job_why": "listRunsOfJob", "run_changelist": "listRuns", "run_change": "showRun", "run_failures": "listRuns",
    "run_timeline": "listRuns", "scheduler_changelist": "showSchedulers", "scheduler_change": "showSchedulers",
    "scheduler_about": "checkReadiness", "auditevent_changelist": "listAudit", "auditevent_change": "listAudit",
}  # fmt: skip
"""The names of operations of the API, by the names of pages without the name of the app."""


class ApiCall(NamedTuple):
    """An operation of the API, and the address of its description."""

    name: str
    url: str


def api_call(request: HttpRequest, app_label: str) -> ApiCall | None:
    """Return the call for the page of `request`; None if there is none, or no description of the API."""
    match = request.resolver_match
    name = CALLS.get(str(match.url_name).removeprefix(f"{app_label}_")) if match is not None else None
    docs = api_url("docs")
    return ApiCall(name, f"{docs}?{urlencode({'open': name})}#{name}") if name and docs else None
