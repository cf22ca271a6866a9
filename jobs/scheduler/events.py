"""Report starts and ends of runs to the log and to listeners, with APScheduler's events."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)

from ..core.held import HeldRun, Outcome
from ..core.planning import PlannedRun
from ..core.runs import RunStatus

logger = logging.getLogger("cronzimus.scheduler.events")


class RunEvent(JobExecutionEvent):
    """APScheduler's event of a function that returned or raised, with the id and the status of its run."""

    def __init__(self, outcome: Outcome, **fields: Any) -> None:
        """Make the event of `outcome`; `fields` are further arguments of `JobExecutionEvent`."""
        code = EVENT_JOB_EXECUTED if outcome.status is RunStatus.SUCCEEDED else EVENT_JOB_ERROR
        super().__init__(code, outcome.job_id, "default", outcome.scheduled_time, **fields)
        self.run_id = outcome.run_id
        self.status = outcome.status.value


class Events:
    """Writes lines to the log, and tells listeners. A scheduler has it for its runs, and a worker for their ends."""

    def __init__(
        self, tell: Callable[[JobSubmissionEvent | JobExecutionEvent], object], is_heard: Callable[[], bool]
    ) -> None:
        """Pass events to `tell`. They are made only while `is_heard`."""
        self._tell, self._is_heard = tell, is_heard

    def submitted(self, runs: Sequence[HeldRun]) -> None:
        """Report that executors took `runs`."""
        if self._is_heard():
            for run in runs:
                self._tell(JobSubmissionEvent(EVENT_JOB_SUBMITTED, run.job_id, "default", [run.scheduled_time]))

    def finished(self, outcome: Outcome) -> None:
        """Report the end of a run."""
        succeeded = outcome.status is RunStatus.SUCCEEDED
        level = logging.INFO if succeeded else logging.WARNING
        if logger.isEnabledFor(level):
            extra = {"action": "run_finished", "run": outcome.run_id, "job": outcome.job_id}
            logger.log(level, "%s", _line(outcome), extra=extra)
        if self._is_heard():
            self._tell(_ended_event(outcome))

    def born_finished(self, runs: Sequence[tuple[str, PlannedRun]]) -> None:
        """Report runs that did not start, each with the id of its job: missed, skipped, or of a damaged job."""
        for job_id, run in runs:
            logger.warning(
                "%s %s: %s", job_id, run.status, run.reason, extra={"action": f"run_{run.status}", "job": job_id}
            )
            if not self._is_heard():
                continue
            if run.status is RunStatus.SKIPPED:
                self._tell(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, job_id, "default", [run.scheduled_time]))
            else:
                self._tell(JobExecutionEvent(EVENT_JOB_MISSED, job_id, "default", run.scheduled_time))


def _ended_event(outcome: Outcome) -> RunEvent:
    """Return the event of an outcome.

    JSON and a `RuntimeError` replace objects that this process does not have: those of another process, and of a run
    that was stopped or whose function was not called.
    """
    value, error = outcome.called or (None, None)
    if outcome.status is RunStatus.SUCCEEDED:
        if outcome.called is None and outcome.result:
            value = json.loads(outcome.result)
        return RunEvent(outcome, retval=value)
    error = error or RuntimeError(outcome.error or outcome.reason)
    return RunEvent(outcome, exception=error, traceback=outcome.traceback or None)


def _line(outcome: Outcome) -> str:
    took = f" {(outcome.finished_at - outcome.started_at).total_seconds():.3f} s" if outcome.started_at else ""
    why = (outcome.reason or outcome.error).partition("\n")[0]
    return f"{outcome.job_id} run {outcome.run_id} {outcome.status}{took}{': ' if why else ''}{why}"
