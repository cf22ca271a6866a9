"""What people do with a run: cancel it, or retry it."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from ... import services
from ...core.exceptions import RunNotFound
from ...core.runs import ACTIVE, Executor, RunStatus
from ...models import Run
from ..row_actions import Call, RowAction, change_link
from .filters import run_number

STOPS = "Cancel stops its process."
"""What Cancel does to a run in a process."""
ASKS = "Cancel asks its function to stop: a thread cannot be stopped, so it goes on until it looks."
"""What Cancel does to a run in a thread."""
AT_ONCE = "Cancel ends it at once: it has not started."
"""What Cancel does to a run that waits."""
AGAIN = "Retry queues one more attempt, with the same arguments."
"""What Retry does."""


def what_it_does(run: Run) -> str:
    """Return what the button of a run will do, in words."""
    if run.status not in ACTIVE:
        return AGAIN
    if run.status == RunStatus.QUEUED and run.scheduler_id is None:
        return AT_ONCE
    return STOPS if run.executor == Executor.PROCESS else ASKS


def offered(run: Run) -> tuple[str, ...]:
    """Return the names of the actions that make sense for a run."""
    return ("cancel",) if run.status in ACTIVE else ("retry",)


def _cancel(run_id: Any, call: Call) -> SafeString:
    run = services.cancel_run(_whole(run_id), now=call.now, actor=call.actor)
    if run.status not in ACTIVE:
        return change_link(call.site, run, f"run {run.pk}")
    in_process = run.executor == Executor.PROCESS
    to_come = "its process is being stopped" if in_process else "its function has been asked to stop"
    return format_html("{} ({})", change_link(call.site, run, f"run {run.pk}"), to_come)


def _retry(run_id: Any, call: Call) -> SafeString:
    again = services.retry_run(_whole(run_id), now=call.now, actor=call.actor)
    return format_html(
        "run {} as {}", run_id, change_link(call.site, again, f"run {again.pk}, attempt {again.attempt}")
    )


def _whole(run_id: Any) -> int:
    number = run_number(str(run_id))
    if number is None:
        raise RunNotFound("there is no such run")
    return number


RUN_ACTIONS = {
    "cancel": RowAction(
        label="Cancel",
        done="Cancelled",
        permissions=("cancel",),
        do=_cancel,
        bulk="Cancel: processes are stopped, functions in threads are asked to stop",
    ),
    "retry": RowAction(
        label="Retry",
        done="Queued to run again",
        permissions=("retry",),
        do=_retry,
        bulk="Retry: one more attempt each, with the same arguments",
    ),
}
"""What can be done with a run, by name."""
