"""The actions on runs: cancel and retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.exceptions import RunNotFound
from ...core.runs import ACTIVE, Executor, RunStatus
from ...models import Run
from ...selectors.run_search import run_number
from ..lists import named
from ..row_actions import Call, RowAction, change_link

STOPS = "Cancel stops its process."
"""The effect of Cancel on a run in a process."""
ASKS = "Cancel asks its function to stop: a thread cannot be stopped, so it goes on until it looks."
"""The effect of Cancel on a run in a thread."""
AT_ONCE = "Cancel ends it at once: it has not started."
"""The effect of Cancel on a waiting run."""
NAMED_JOBS = 5
"""Jobs that a question names; it counts the rest."""
AGAIN = "Retry queues one more attempt, with the same arguments."
"""The effect of Retry."""


def what_it_does(run: Run) -> str:
    """Return the effect of a run's button, in words."""
    if run.status not in ACTIVE:
        return AGAIN
    if run.status == RunStatus.QUEUED and (run.scheduler_id is None or run.executor == Executor.CELERY):
        return AT_ONCE
    return ASKS if run.executor == Executor.THREAD else STOPS


def offered(run: Run) -> tuple[str, ...]:
    """Return the names of the actions for a run."""
    return ("cancel",) if run.status in ACTIVE else ("retry",)


def _cancel(run_id: Any, call: Call) -> SafeString:
    run = services.cancel_run(_whole(run_id), now=call.now)
    if run.status not in ACTIVE:
        return change_link(call.site, run, f"run {run.pk}")
    in_thread = run.executor == Executor.THREAD
    to_come = "its function has been asked to stop" if in_thread else "its process is being stopped"
    return format_html("{} ({})", change_link(call.site, run, f"run {run.pk}"), to_come)


def _retry(run_id: Any, call: Call) -> SafeString:
    again = services.retry_run(_whole(run_id), now=call.now, traceparent=call.traceparent)
    return format_html(
        "run {} as {}", run_id, change_link(call.site, again, f"run {again.pk}, attempt {again.attempt}")
    )


def _whole(run_id: Any) -> int:
    number = run_number(str(run_id))
    if number is None:
        raise RunNotFound("there is no such run")
    return number


def _of_jobs(runs: QuerySet[Run]) -> str:
    """Return the jobs of `runs`, the one with the most first: "Of sync (4), import (2) and 3 more jobs."."""
    found = list(runs.values_list("job_id").annotate(number=Count("pk")).order_by("-number", "job_id"))
    rest = len(found) - NAMED_JOBS
    listed = [f"{job_id} ({number:,})" for job_id, number in found[:NAMED_JOBS]]
    return f"Of {named([*listed, f'{rest:,} more jobs'] if rest > 0 else listed)}." if listed else "They are gone."


def _of_cancel(keys: Sequence[Any], call: Call) -> list[str]:
    runs = Run.objects.filter(pk__in=keys)
    active = runs.filter(status__in=ACTIVE)
    waiting = active.filter(status=RunStatus.QUEUED, scheduler=None).count()
    threads = active.filter(executor=Executor.THREAD).exclude(status=RunStatus.QUEUED, scheduler=None).count()
    processes = active.count() - waiting - threads
    said = (
        (waiting, "has not started, and ends at once.", "have not started, and end at once."),
        (processes, "runs in a process, which is stopped.", "run in processes, which are stopped."),
        (threads, "runs in a thread: its function is asked to stop, and goes on until it looks.",
         "run in threads: their functions are asked to stop, and go on until they look."),
        (len(keys) - active.count(), "has ended already.", "have ended already."),
    )  # fmt: skip
    return [_of_jobs(runs), *(f"{number:,} {one if number == 1 else many}" for number, one, many in said if number)]


def _of_retry(keys: Sequence[Any], call: Call) -> list[str]:
    runs = Run.objects.filter(pk__in=keys)
    active = runs.filter(status__in=ACTIVE).count()
    refused = f"{active:,} {'has' if active == 1 else 'have'} not ended, and cannot be retried."
    return [_of_jobs(runs), "Each gets one more attempt, with the same arguments.", *([refused] if active else [])]


RUN_ACTIONS = {
    "cancel": RowAction(
        label="Cancel",
        done="Cancelled",
        permissions=("cancel",),
        do=_cancel,
        effects=_of_cancel,
    ),
    "retry": RowAction(
        label="Retry",
        done="Queued to run again",
        permissions=("retry",),
        do=_retry,
        effects=_of_retry,
    ),
}
"""The actions on a run, by name."""
