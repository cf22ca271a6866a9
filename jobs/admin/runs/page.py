"""The page of a run: the error first, then the output, a waterfall of its times, and the reason why it ran."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from ...core.retries import attempts_allowed
from ...core.runs import ACTIVE, DID_NOT_RUN, UNSUCCESSFUL, Executor, RunStatus, RunTrigger, is_test, job_behind
from ...core.traces import trace_id
from ...models import Job, Run, Scheduler, Worker
from ...models.run import duration as length
from ...selectors import states
from ...selectors.job_history import Usual, last_runs, usual
from ...selectors.run_history import SameError, attempts_of, same_error
from ...selectors.waiting import Waiting
from ...selectors.why import explain
from .. import charts, display, json_tree
from ..pages import page
from ..times import Times, duration
from ..why import Why, why
from .actions import offered, what_it_does
from .called import call_text
from .log import log_of
from .states import diagram
from .tracebacks import own_frames
from .waterfall import waterfall

TYPICAL = 40
"""Runs of the job from which its usual duration is computed."""
SAME = 3
"""Runs with the same error that the page names."""
HEADLINE = 300
"""Characters of an error that its heading has."""
KILL_AFTER = timedelta(seconds=5)
"""Time of a process from SIGTERM to SIGKILL."""


def run_page(admin: Any, request: HttpRequest, run: Run) -> HttpResponse:
    """Show the page of `run`."""
    times = Times.of(request)
    job = Job.objects.filter(pk=job_behind(run.job_id)).first()
    attempts = attempts_of(run) if run.scheduled_time is not None else [run]
    typical = usual(last_runs(job_behind(run.job_id), TYPICAL))
    runs = f"{admin.page_url('changelist')}?{urlencode({'job': run.job_id})}"
    error = _error(run, times)
    context = {
        "run": run,
        "job": job,
        "badge": display.run_badge(run.status, pill=True),
        "is_test": is_test(run.job_id),
        "name": job_behind(run.job_id),
        "path": list(_path(run, attempts, times)),
        "actions": admin.page_buttons(request, run, offered(run)),
        "actions_do": what_it_does(run),
        "may_run": job is not None and not is_test(run.job_id) and _may_run(admin, request),
        "banner": _banner(run, times),
        "error": error,
        "log": log_of(run, times),
        "states": diagram(run, attempts),
        "waterfall": _waterfall(run, attempts, times),
        "facts": list(_facts(admin, run, job, attempts, typical, times)),
        "elapsed": _elapsed(run, typical, times),
        "called": call_text(run),
        "result": json_tree.tree(run.result) if run.result is not None else "",
        "why": _why(admin, run, job, times),
        "runs": runs,
        "same_url": f"{runs}&{urlencode({'status': 'unsuccessful', 'since': '7d'})}",
    }
    return page(
        admin.admin_site,
        request,
        "cronzimus/runs/run.html",
        title=f"{'Test run' if is_test(run.job_id) else 'Run'} {run.pk}",
        **context,
    )


def _may_run(admin: Any, request: HttpRequest) -> bool:
    jobs = admin.admin_site._registry.get(Job)
    return jobs is not None and jobs.has_run_permission(request) and jobs.has_view_permission(request)


def _path(run: Run, attempts: Sequence[Run], times: Times) -> Iterator[SafeString | str]:
    """Yield the steps of the run, each with its distance from the fire time."""
    due = run.scheduled_time
    if due is None:
        yield display.run_badge(run.status)
        return
    asked = run.trigger in (RunTrigger.MANUAL, RunTrigger.BACKFILL, RunTrigger.TEST)
    yield f"{'asked for' if asked else 'due'} {times.short(due)}"
    if run.status in DID_NOT_RUN:
        yield display.run_badge(run.status)
        return
    for other in attempts:
        if other.attempt < run.attempt:
            yield f"attempt {other.attempt} {display.status_word(other.status)}"
    if run.queued_at is not None and run.attempt == 1:
        yield f"queued {_plus(length(due, run.queued_at))}"
    if run.started_at is not None:
        which = f"attempt {run.attempt} started" if len(attempts) > 1 else "started"
        yield f"{which} {_plus(length(due, run.started_at))}"
    if run.status == RunStatus.RUNNING and run.started_at is not None:
        yield format_html("{} {}", display.run_badge(run.status), times.elapsed(run.started_at))
        return
    after = length(due, run.finished_at)
    yield format_html("{} {}", display.run_badge(run.status), _plus(after) if after is not None else "")


def _plus(after: timedelta | None) -> str:
    return f"+{duration(after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A banner at the top of the page."""

    tone: str
    icon: str
    headline: SafeString | str
    text: str


def _banner(run: Run, times: Times) -> Banner | None:
    if run.status in ACTIVE and run.cancel_requested_at is not None:
        by = run.reason.removeprefix("cancelled") if run.reason.startswith("cancelled by ") else ""
        state = "still running" if run.status == RunStatus.RUNNING else "still queued"
        headline = format_html("Cancel asked {}{}; {}.", times.ago(run.cancel_requested_at), by, state)
        return Banner(tone="late", icon="hourglass", headline=headline, text=_after_cancel(run))
    if run.status == RunStatus.LOST:
        return Banner(tone="", icon="lost", headline="Nobody knows how this run ended.", text=_after_loss(run))
    if run.status in DID_NOT_RUN:
        return Banner(tone="late", icon="missed" if run.status == RunStatus.MISSED else "skip",
                      headline="This fire time did not run.", text=_reason(run))  # fmt: skip
    if run.status == RunStatus.CANCELLED:
        return Banner(tone="busy", icon="stop", headline="This run was cancelled.", text=_reason(run))
    if run.status == RunStatus.QUEUED:
        waits = run.available_at is not None and run.available_at > times.now
        text = f"It may start {times.short(run.available_at)}. " if waits and run.available_at else ""
        text += _reason(run) or ("" if waits else _waits_for(run, times))
        return Banner(tone="busy", icon="hourglass", headline="This run waits.", text=text)
    return None


def _waits_for(run: Run, times: Times) -> str:
    if awaited := Waiting(times.now).of_run(run):
        return f"It waits for {awaited}{'' if awaited.endswith('?') else '.'}"
    holder = "worker of its queue" if run.executor == Executor.CELERY else "scheduler"
    return f"It starts as soon as a {holder} has a free slot for it."


def _reason(run: Run) -> str:
    return f"{run.reason[:1].upper()}{run.reason[1:]}." if run.reason else ""


def _after_cancel(run: Run) -> str:
    if run.executor != Executor.THREAD:
        return f"Its process gets SIGTERM, and SIGKILL for what is left after {duration(KILL_AFTER)}."
    return "Its function goes on until it looks at RunContext.cancelled: a thread cannot be stopped."


def _after_loss(run: Run) -> str:
    later = Run.objects.filter(job_id=run.job_id, scheduled_time=run.scheduled_time, attempt__gt=run.attempt)
    again = later.values_list("attempt", flat=True).order_by("attempt").first()
    decided = f"Attempt {again} was queued in its place." if again else "No attempt was left, so it counts as failed."
    return f"{_reason(run)} {decided}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """An error: its first line, the rest, the traceback, and the number of its occurrences."""

    headline: str
    more: str
    own: list[Any]
    traceback: str
    seen: str
    first: SafeString | str
    same: list[Any]


def _error(run: Run, times: Times) -> Error | None:
    if not run.error and not run.traceback:
        return None
    headline, more = _headline(str(run.error).strip())
    failed = run.status in UNSUCCESSFUL
    found = same_error(run.job_id, run.error, times.now) if failed and run.error else SameError([], more=False)
    number = len(found.runs)
    seen = "once" if number == 1 else f"{number:,}{' or more' if found.more else ''} times"
    others = [one for one in found.runs if one.id != run.pk][:SAME]
    return Error(
        headline=headline or "No message", more=more.strip(), own=own_frames(run.traceback or ""),
        traceback=run.traceback, seen=seen if number else "", first=times.at(found.first) if number else "",
        same=[(one.id, display.run_badge(one.status), times.at(one.at, seconds=False)) for one in others],
    )  # fmt: skip


def _headline(error: str) -> tuple[str, str]:
    """Return the first line of an error for its heading, and the rest; all of the error if the line is long."""
    line, _, more = error.partition("\n")
    return (line, more) if len(line) <= HEADLINE else (f"{line[:HEADLINE]}…", error)


def _waterfall(run: Run, attempts: Sequence[Run], times: Times) -> Any:
    if run.status in DID_NOT_RUN or run.scheduled_time is None:
        return None
    return waterfall(run, attempts, times.now, times.short(run.scheduled_time))


def _why(admin: Any, run: Run, job: Job | None, times: Times) -> Why | None:
    if run.scheduled_time is None or is_test(run.job_id):
        return None
    return why(explain(job, run.job_id, run.scheduled_time, times.now), job, times, admin.admin_site)


@dataclass(frozen=True, slots=True, kw_only=True)
class Elapsed:
    """The elapsed time of a running run."""

    bar: SafeString
    words: str
    since: SafeString
    late: bool
    progress: str
    done: int | None
    total: int | None


def _elapsed(run: Run, typical: Usual, times: Times) -> Elapsed | None:
    if run.status != RunStatus.RUNNING or run.started_at is None:
        return None
    took = (times.now - run.started_at).total_seconds()
    late = typical.p95 is not None and took > typical.p95
    words = (
        "it never ran before" if typical.median is None else f"usually {duration(timedelta(seconds=typical.median))}"
    )
    bar = charts.elapsed_bar(took / typical.median if typical.median else None, late=late)
    return Elapsed(bar=bar, words=words, since=times.elapsed(run.started_at), late=late, progress=_progress(run),
                   done=run.progress_done, total=run.progress_total)  # fmt: skip


def _progress(run: Run) -> str:
    if run.progress_done is None:
        return ""
    return f"{run.progress_done:,}" + ("" if run.progress_total is None else f" of {run.progress_total:,}")


def _facts(
    admin: Any, run: Run, job: Job | None, attempts: Sequence[Run], typical: Usual, times: Times
) -> Iterator[tuple[str, SafeString | str]]:
    """Yield the facts of the run, by name."""
    zone = states.zone_of(job) if job is not None else None
    yield "Trigger", run.trigger + (f", {run.actor}" if run.actor else "")
    if run.fire_times != 1:
        yield "Stands for", f"{run.fire_times:,} fire times"
    yield "Scheduled", times.at(run.scheduled_time, zone)
    if len(attempts) > 1 or run.attempt > 1:
        yield "Attempt", _attempts(admin, run, job, attempts)
    if (took := length(run.started_at, run.finished_at)) is not None:
        often = f"usually {duration(timedelta(seconds=typical.median))}" if typical.median is not None else ""
        yield "Duration", format_html('{} <span class="quiet">{}</span>', duration(took), often)
    could_start = run.scheduled_time if run.attempt == 1 else run.available_at or run.queued_at
    if (delay := length(could_start, run.started_at)) is not None:
        yield "Start delay", duration(delay)
    if (text := _progress(run)) and run.status != RunStatus.RUNNING:
        yield "Progress", text
    if run.scheduler_id or run.executor == Executor.CELERY:
        yield from _holder(run, times, zone)
    yield "Executor", run.executor
    if run.timeout is not None:
        is_number = isinstance(run.timeout, int)  # a damaged row of SQLite may hold anything
        yield "Timeout", duration(timedelta(seconds=run.timeout)) if is_number else str(run.timeout)
    if run.concurrency_group:
        yield "Group", run.concurrency_group
    if run.traceparent:
        yield "Trace", trace_id(run.traceparent)
    if run.finished_at is not None:
        yield "Finished", times.ago(run.finished_at, zone)
    if run.reason:
        yield "Reason", run.reason


def _holder(run: Run, times: Times, zone: Any) -> Iterator[tuple[str, SafeString | str]]:
    """Yield the holder of the run, and for a worker the way of its message."""
    is_remote = run.executor == Executor.CELERY
    if not is_remote:
        yield "Scheduler", run.scheduler_id or ""
    elif run.worker:
        name = Worker.objects.filter(pk=run.worker).values_list("name", flat=True).first()
        yield "Worker", format_html('{} <span class="quiet">{}</span>', name, run.worker) if name else run.worker
    elif awaited := Waiting(times.now).of_run(run):
        yield "Worker", f"waits for {awaited}"
    if run.status == RunStatus.RUNNING:
        holders = (Worker if is_remote else Scheduler)._default_manager.filter(pk=run.scheduler_id)
        beat = holders.values_list("heartbeat_at", flat=True).first()
        yield "Heartbeat", times.ago(beat, zone) if beat else "none on record"
    if run.queue:
        yield "Queue", run.queue
    if run.dispatched_at is not None:
        often = f", {run.dispatches} times" if run.dispatches and run.dispatches > 1 else ""
        yield "Sent to the queue", format_html("{}{}", times.ago(run.dispatched_at, zone), often)


def _attempts(admin: Any, run: Run, job: Job | None, attempts: Sequence[Run]) -> SafeString:
    links = (
        (format_html("<strong>{}</strong>", one.attempt) if one.pk == run.pk else format_html(
            '<a href="{}">{}<span class="visually-hidden"> {}</span></a>',
            admin.page_url("change", one.pk), one.attempt, one.status.replace("_", " ")),)
        for one in attempts
    )  # fmt: skip
    allowed = attempts_allowed(job.retries) if job is not None else 1
    most = max(allowed, attempts[-1].attempt if attempts else run.attempt)
    return format_html("{} of {}", format_html_join(" · ", "{}", links), most)
