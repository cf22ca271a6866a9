"""The page that runs a job with other arguments than its own, with an input for each parameter of its function."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html

from ... import services
from ...core.exceptions import CronzimusError, InvalidFunction
from ...core.runs import RunTrigger
from ...functions import registry
from ...models import Job, Run
from ...selectors.run_search import run_number
from ..base import model_url
from ..pages import page
from ..request_time import request_now
from ..row_actions import change_link, log_action
from . import arguments

NEWEST = 200
"""Runs that are searched for the last one that a person asked for."""


def run_dialog(admin: Any, request: HttpRequest, job: Job) -> HttpResponse:
    """Show the page, or run the job with the sent arguments and go to the new run."""
    # Read again: the secrets of `job` are masked for those who may not change it. The inputs show none to anybody.
    job = Job.objects.filter(pk=job.pk).first() or job
    function = function_of(job)
    args, kwargs, source = _initial(job, request.GET.get("as", ""))
    problems: list[str] = []
    if function is None:
        problems = [f"{job.func} is not a registered function: the job cannot run."]
        inputs: list[arguments.Argument] = []
    elif request.method == "POST":
        args, kwargs, inputs = arguments.read(function, request.POST, args, kwargs)
        if not any(one.error for one in inputs):
            try:
                return _run(admin, request, job, args, kwargs)
            except CronzimusError as error:
                problems = list(error.fields.values()) or [str(error)]
    else:
        inputs = arguments.inputs_of(function, args, kwargs)
    context = {
        "job": job,
        "function": function,
        "arguments": inputs,
        "injected": arguments.injected_of(function) if function else [],
        "problems": problems,
        "source": source,
        "last": _last_asked(job.pk),
        "active": Run.objects.active().filter(job_id=job.pk).count(),
        "back": admin.page_url("change", job.pk),
        "live_url": "",
    }
    return page(admin.admin_site, request, "cronzimus/jobs/run_with.html", title=f"Run {job.pk}", **context)


def _initial(job: Job, wanted: str) -> tuple[Any, Any, str]:
    """Return the first arguments in the inputs, and their source: the job, or an earlier run."""
    run = _last_asked(job.pk) if wanted == "last" else None
    if run is None and (number := run_number(wanted)) is not None:
        run = Run.objects.filter(pk=number, job_id=job.pk).only("id", "args", "kwargs", "func").first()
    if run is None or (run.args is None and run.kwargs is None):
        return job.args, job.kwargs, ""
    return run.args, run.kwargs, f"run {run.pk}"


def _last_asked(job_id: str) -> Run | None:
    """Return the last manual run of a job, if it is among the newest runs (index `run_once`)."""
    runs = Run.objects.filter(job_id=job_id).order_by("-scheduled_time", "-attempt").values_list("pk", "trigger")
    asked = next((pk for pk, trigger in runs[:NEWEST] if trigger == RunTrigger.MANUAL), None)
    return Run.objects.only("id", "args", "kwargs", "scheduled_time", "actor").get(pk=asked) if asked else None


def _run(admin: Any, request: HttpRequest, job: Job, args: Any, kwargs: Any) -> HttpResponse:
    run = services.run_job(job.pk, now=request_now(request), args=args, kwargs=kwargs)
    log_action(admin, request, job, "Queued to run with arguments of its own.")
    link = change_link(admin.admin_site, run, f"run {run.pk}")
    admin.message_user(request, format_html("Queued to run: {} ({}).", job.pk, link))
    return HttpResponseRedirect(model_url(admin.admin_site, Run, "change", run.pk))


def function_of(job: Job) -> registry.Function | None:
    """Return the function of a job; None if it is not registered."""
    try:
        return registry.lookup(job.func)
    except InvalidFunction:
        return None


def takes_arguments(job: Job) -> bool:
    """Tell whether the function of a job takes arguments."""
    function = function_of(job)
    return function is not None and bool(function.arguments.parameters)
