"""Jobs as calls of the API and as files, to copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from ...core.exceptions import CronzimusError
from ...core.secrets import masked
from ...definitions import validation
from ...models import Job
from ...transfer import files
from ...transfer.export import definition_of
from .form import JobForm

AUTHORIZATION = '-H "Authorization: Token $CRONZIMUS_TOKEN"'
"""The option of curl with the token, which the shell has in its environment."""

LINE = 80
"""Characters of the body of a call that stay on one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A text to copy."""

    id: str
    title: str
    text: str


def snippets(request: HttpRequest, job: Job) -> list[Snippet]:
    """Return calls of the API for a job, for a shell and for Python."""
    url = _url(request, job.pk)
    kwargs = masked(job.kwargs) if isinstance(job.kwargs, dict) else {}
    python = f"""import os, requests

session = requests.Session()
session.headers["Authorization"] = f"Token {{os.environ['CRONZIMUS_TOKEN']}}"
run = session.post("{url}/run", json={{"kwargs": {kwargs!r}}})
run.raise_for_status()
print(run.json()["run_id"])
"""
    failed = f"curl {AUTHORIZATION} \\\n  '{url}/runs?status=failed'"
    return [
        Snippet(id="api-run", title="Run it now", text=_call("POST", f"{url}/run", {"kwargs": kwargs})),
        Snippet(id="api-show", title="Show it", text=f"curl {AUTHORIZATION} \\\n  {url}"),
        Snippet(id="api-pause", title="Pause it", text=f"curl -X POST {AUTHORIZATION} \\\n  {url}/pause"),
        Snippet(id="api-runs", title="Its runs that failed", text=failed),
        Snippet(id="api-python", title="Run it from Python", text=python),
    ]


def form_snippets(request: HttpRequest, form: JobForm) -> list[Snippet]:
    """Return the job of a form as JSON, as a file, and as the call of the API that saves it. Nothing is saved.

    Empty as long as the form is not valid. The form of a stored job that was not sent shows the stored job.
    """
    job = form.job
    if not form.is_bound:
        return _texts(job) if job is not None else []
    try:
        if not form.is_valid():
            return []
        shown, changed = validation.tried(form.body, now=form.now, job=job)
    except CronzimusError:
        return []
    if job is None:
        call = _call("POST", _url(request), definition_of(shown))
    else:
        call = _call("PATCH", _url(request, job.pk), {name: getattr(shown, name) for name in changed})
    return [*_texts(shown), *([Snippet(id="as-curl", title="curl, to save it", text=call)] if changed else [])]


def _texts(job: Job) -> list[Snippet]:
    definition = definition_of(job)
    return [
        Snippet(id="as-json", title="JSON", text=_json(definition)),
        Snippet(id="as-file", title="YAML, as a file of jobs", text=files.dump([definition])),
    ]


def _url(request: HttpRequest, job_id: str | None = None) -> str:
    try:
        path = reverse("cronzimus:job", args=[job_id]) if job_id is not None else reverse("cronzimus:jobs")
    except NoReverseMatch:
        path = f"/scheduler/jobs/{job_id}" if job_id is not None else "/scheduler/jobs"
    return request.build_absolute_uri(path)


def _call(method: str, url: str, body: dict[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False)
    quoted = (text if len(text) <= LINE else _json(body)).replace("'", "'\\''")
    return f"curl -X {method} {AUTHORIZATION} -H 'Content-Type: application/json' -d '{quoted}' \\\n  {url}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
