"""The tabs of a job's page: runs, fire times to come, configuration, alerts, and calls of the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from ...core.exceptions import CronzimusError
from ...core.retries import attempts_allowed
from ...core.runs import host_of
from ...core.secrets import masked
from ...definitions import validation
from ...definitions.triggers import trigger_of
from ...models import AlertRule, Incident, Job, Run
from ...models.run import duration as length
from ...models.run import error_start
from .. import display
from ..base import model_url
from ..times import Times, duration
from .api_calls import snippets

RUNS, UPCOMING = 25, 25
"""Runs, and fire times to come, that the tabs show."""
FIRST_LINE = 160
"""Characters of an error or a result that the list shows."""
LONG = 600
"""Characters of a value that scrolls in an area of its own."""
TABS = {"runs": "Runs", "upcoming": "Upcoming", "configuration": "Configuration", "alerts": "Alerts", "api": "API"}
"""The tabs by their names in the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    """A tab of the page."""

    label: str
    url: str
    current: bool


def tabs(admin: Any, request: HttpRequest, job: Job, zone: ZoneInfo, times: Times) -> dict[str, Any]:
    """Return the tabs, and the content of the chosen one."""
    chosen = request.GET.get("tab", "")
    chosen = chosen if chosen in TABS else "runs"
    shown = [Tab(label=label, url=f"?tab={name}#tabs", current=name == chosen) for name, label in TABS.items()]
    if url := _versions(admin, job):
        shown.insert(3, Tab(label="Versions", url=url, current=False))
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "runs": lambda: _runs(request, job, zone, times),
        "upcoming": lambda: _upcoming(job, zone, times),
        "configuration": lambda: {"configuration": configuration(job, zone, times)},
        "alerts": lambda: _alerts(admin, request, job, times),
        "api": lambda: {"snippets": snippets(request, job)},
    }
    return {"tabs": shown, "tab": chosen, **makers[chosen]()}


def _versions(admin: Any, job: Job) -> str:
    """Return the address of the versions of a job, "" if the site has no such page."""
    try:
        return str(admin.page_url("versions", job.pk))
    except NoReverseMatch:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run of the job in the list."""

    id: int
    badge: SafeString
    at: SafeString | str
    trigger: str
    delay: str
    took: str
    attempt: str
    host: str
    text: str


def _runs(request: HttpRequest, job: Job, zone: ZoneInfo, times: Times) -> dict[str, Any]:
    may_see = request.user.has_perm("cronzimus.view_run")
    return {"may_see_runs": may_see, "run_rows": run_rows(job, zone, times) if may_see else []}


def run_rows(job: Job, zone: ZoneInfo, times: Times) -> list[RunRow]:
    """Return the last runs of a job (index `run_once`)."""
    fields = ("id", "status", "scheduled_time", "trigger", "actor", "available_at", "queued_at", "started_at",
              "finished_at", "attempt", "scheduler_id")  # fmt: skip
    runs = Run.objects.filter(job_id=job.pk).order_by("-scheduled_time", "-attempt").only(*fields)
    most = attempts_allowed(job.retries)
    return [_row(run, most, zone, times) for run in runs.annotate(error_start=error_start(FIRST_LINE))[:RUNS]]


def _row(run: Any, most: int, zone: ZoneInfo, times: Times) -> RunRow:
    could_start = run.scheduled_time if run.attempt == 1 else run.available_at or run.queued_at
    return RunRow(
        id=run.pk, badge=display.run_badge(run.status), at=times.at(run.scheduled_time, zone),
        trigger=f"{run.actor}, {run.trigger}" if run.actor else run.trigger,
        delay=duration(length(could_start, run.started_at)), took=duration(length(run.started_at, run.finished_at)),
        attempt=f"{run.attempt} of {max(most, run.attempt)}", host=host_of(run.scheduler_id) or "—",
        text=display.first_line(run.error_start or "", FIRST_LINE),
    )  # fmt: skip


def _upcoming(job: Job, zone: ZoneInfo, times: Times) -> dict[str, Any]:
    if job.next_run_time is None:
        return {"upcoming": [], "upcoming_note": "There is no fire time to come."}
    try:
        trigger = trigger_of(job)
        found = [job.next_run_time, *trigger.fire_times(job.next_run_time, UPCOMING - 1)]
    except CronzimusError as error:
        return {"upcoming": [], "upcoming_note": str(error)}
    if job.max_runs is not None:
        found = found[: max(job.max_runs - job.claimed_count, 0)]
    rows = [
        (display.local(at, zone), f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}", times.ago(at, zone),
         f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")
        for at in found
    ]  # fmt: skip
    return {"upcoming": rows, "upcoming_note": ""}


def configuration(job: Job, zone: ZoneInfo, times: Times) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the whole definition of a job, by section."""
    try:
        words = capfirst(trigger_of(job).describe())
    except CronzimusError as error:
        words = str(error)
    tags = ", ".join(map(str, job.tags)) if isinstance(job.tags, list) else json.dumps(job.tags)
    arguments = [("Arguments", _json(masked(job.args))), ("Named arguments", _json(masked(job.kwargs)))]
    what = [("Id", job.pk), ("Name", job.name), ("Description", job.description), ("Owner", job.owner), ("Tags", tags),
            ("Function", job.func), *arguments]  # fmt: skip
    when = [("Trigger", words), ("Definition", _json(job.trigger)), ("Time zone", zone.key)]
    how = [(capfirst(name.replace("_", " ")), _value(name, getattr(job, name))) for name in validation.POLICY_FIELDS]
    record = [("Added", times.at(job.created_at, zone)), ("Changed", times.at(job.updated_at, zone)),
              ("Declared by", job.source), ("Runs that ended", f"{job.run_count:,}"),
              ("Not succeeded", f"{job.failure_count:,}")]  # fmt: skip
    sections = (("What", what), ("When", when), ("How", how), ("Record", record))
    return [
        (title, [(name, _bounded(name, value)) for name, value in rows if value not in ("", None)])
        for title, rows in sections
    ]


def _bounded(name: str, value: Any) -> Any:
    """Return a value of a section; a long text as an area that scrolls, also by the keyboard."""
    if not isinstance(value, str) or len(value) <= LONG:
        return value
    return format_html('<div class="long" tabindex="0" role="region" aria-label="{}">{}</div>', name, value)


def _value(name: str, value: Any) -> str:
    if value is None or value == "":
        return "none"
    if name in ("timeout", "misfire_grace_time") and isinstance(value, int):
        return duration(timedelta(seconds=value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int | str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _alerts(admin: Any, request: HttpRequest, job: Job, times: Times) -> dict[str, Any]:
    may_see = request.user.has_perm("cronzimus.view_alertrule")
    known = AlertRule.objects.prefetch_related("channels") if may_see else AlertRule.objects.none()
    rules = [rule for rule in known if rule.applies_to(job.pk, job.tags)]
    may_see_incidents = request.user.has_perm("cronzimus.view_incident")
    of_job = Incident.objects.filter(job_id=job.pk) if may_see_incidents else Incident.objects.none()
    incidents = of_job.order_by("-opened_at")[:10]
    site = admin.admin_site
    return {
        "rules": [(rule, model_url(site, AlertRule, "change", rule.pk), ", ".join(map(str, rule.events)).replace(
            "_", " "), [str(channel) for channel in rule.channels.all()]) for rule in rules],
        "incidents": [(incident, model_url(site, Incident, "change", incident.pk), times.at(incident.opened_at),
                       times.at(incident.recovered_at)) for incident in incidents],
        "may_see_incidents": may_see_incidents,
        "rules_url": model_url(site, AlertRule, "changelist") if may_see else "",
    }  # fmt: skip
