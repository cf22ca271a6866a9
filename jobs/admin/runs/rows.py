"""The rows of the list of runs: the outcome, the duration compared with the usual one, and the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.utils.safestring import SafeString

from ...core.runs import ACTIVE, RunStatus, host_of, is_test, job_behind
from ...models import Job, Run
from ...models.run import duration as length_of
from ...selectors import recent
from ...selectors.recent import Usual
from .. import charts, display
from ..base import model_url
from ..times import NOTHING, Times, duration
from .log import Tail, tails
from .open_logs import OpenLogs

READ = (
    "id", "job_id", "status", "trigger", "actor", "scheduled_time", "started_at", "finished_at", "available_at",
    "cancel_requested_at", "attempt", "fire_times", "scheduler_id", "progress_done", "progress_total",
    "error_start",
)  # fmt: skip
"""The columns that the list reads: no long texts, except the beginning of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run in the list. `url` is the prefix of the addresses of its actions."""

    id: int
    url: str
    job_id: str
    job_url: str
    is_test: bool
    status: SafeString
    note: SafeString | str
    made_by: str
    actor: str
    scheduled: SafeString | str
    ago: SafeString | str
    delay: str
    took: SafeString | str
    bar: SafeString | str
    usually: str
    attempt: int
    host: str
    error: str
    active: bool
    log_urls: tuple[str, str]
    """The addresses, for people and for polls, of the list on which the log of the run is opened or closed."""
    log: Tail | None


def run_rows(site: AdminSite, found: Sequence[tuple[Any, ...]], times: Times, logs: OpenLogs) -> list[RunRow]:
    """Return the rows of runs, each given as the values of `READ`, with the open `logs`.

    One query reads the usual durations of their jobs, and one whether the jobs still exist: for a subquery in the list,
    PostgreSQL may read the ids of all jobs.
    """
    runs = [dict(zip(READ, values, strict=True)) for values in found]
    job_ids = list({job_behind(run["job_id"]) for run in runs})
    known, existing = recent.recent_runs(job_ids), set(Job.objects.filter(pk__in=job_ids).values_list("pk", flat=True))
    usual = {job_id: recent.usual(runs_of) for job_id, runs_of in known.items()}
    lists = (model_url(site, Run, "changelist"), model_url(site, Job, "changelist"))
    shown = {run["id"] for run in runs} & set(logs.ids)
    ends = tails(shown, times) if shown else {}
    for run in runs:
        run["name"] = job_behind(run["job_id"])
        run["job_exists"] = run["name"] in existing
        run["log_urls"], run["log"] = logs.toggled(run["id"]), ends.get(run["id"])
    return [_row(run, usual[run["name"]], times, *lists) for run in runs]


def _row(run: dict[str, Any], usual: Usual, times: Times, runs_url: str, jobs_url: str) -> RunRow:
    started: datetime | None = run["started_at"]
    going = run["status"] == RunStatus.RUNNING and started is not None
    took = times.now - started if going and started else length_of(started, run["finished_at"])
    zone: ZoneInfo | None = None
    return RunRow(
        id=run["id"], url=f"{runs_url}{run['id']}/", job_id=run["name"], is_test=is_test(run["job_id"]),
        job_url=f"{jobs_url}{quote(run['name'])}/change/" if run["job_exists"] else "",
        status=display.run_badge(run["status"]), note=_note(run, times),
        made_by=run["trigger"], actor=run["actor"] or "",
        scheduled=times.at(run["scheduled_time"], zone), ago=times.ago(run["scheduled_time"], zone),
        delay=duration(length_of(run["scheduled_time"], started)),
        took=times.elapsed(started) if going and started else duration(took),
        bar=_bar(took, usual), usually="" if usual.median is None else _usually(usual.median),
        attempt=run["attempt"], host=host_of(run["scheduler_id"]) or NOTHING,
        error=display.first_line(run["error_start"] or ""), active=run["status"] in ACTIVE,
        log_urls=run["log_urls"], log=run["log"],
    )  # fmt: skip


def _usually(seconds: float) -> str:
    return f"usually {duration(timedelta(seconds=seconds))}"


def _bar(took: timedelta | None, usual: Usual) -> SafeString | str:
    if took is None or not usual.median or usual.p95 is None:
        return ""
    seconds = took.total_seconds()
    # Clearly longer than the longest of twenty. SQLite's arithmetic is a millisecond off.
    late = seconds > usual.p95 - 0.01 and seconds > usual.median * 1.5
    return charts.elapsed_bar(seconds / usual.median, late=late)


def _note(run: dict[str, Any], times: Times) -> SafeString | str:
    if run["status"] not in ACTIVE:
        return f"{run['fire_times']:,} fire times" if (run["fire_times"] or 1) > 1 else ""
    if run["cancel_requested_at"] is not None:
        return "asked to stop"
    if run["status"] == RunStatus.QUEUED and run["available_at"] and run["available_at"] > times.now:
        return times.ago(run["available_at"])
    if run["progress_done"] is None:
        return ""
    return f"{run['progress_done']:,}" + ("" if run["progress_total"] is None else f" of {run['progress_total']:,}")
