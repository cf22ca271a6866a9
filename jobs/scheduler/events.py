"""Report what happens to runs: to the log, and to APScheduler's listeners."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.base import BaseScheduler

from ..core.planning import PlannedRun
from ..core.runs import RunStatus
from .store.held import HeldRun, Outcome

logger = logging.getLogger("cronzimus.scheduler.events")


class Events:
    """Writes a line to the log, and tells the listeners of an APScheduler scheduler."""

    def __init__(self, scheduler: BaseScheduler) -> None:
        """Tell the listeners of `scheduler`."""
        self._scheduler = scheduler

    def submitted(self, runs: Sequence[HeldRun]) -> None:
        """Report that executors took `runs`."""
        if self._scheduler._listeners:
            for run in runs:
                self._dispatch(JobSubmissionEvent(EVENT_JOB_SUBMITTED, run.job_id, "default", [run.scheduled_time]))

    def finished(self, outcome: Outcome) -> None:
        """Report how a run ended."""
        succeeded = outcome.status is RunStatus.SUCCEEDED
        level = logging.INFO if succeeded else logging.WARNING
        if logger.isEnabledFor(level):
            extra = {"action": "run_finished", "run": outcome.run_id, "job": outcome.job_id}
            logger.log(level, "%s", _line(outcome), extra=extra)
        if self._scheduler._listeners:
            code = EVENT_JOB_EXECUTED if succeeded else EVENT_JOB_ERROR
            self._dispatch(
                JobExecutionEvent(
                    code, outcome.job_id, "default", outcome.started_at or outcome.finished_at,
                    exception=None if succeeded else RuntimeError(outcome.error or outcome.reason),
                    traceback=outcome.traceback or None,
                )
            )  # fmt: skip

    def born_finished(self, runs: Sequence[tuple[str, PlannedRun]]) -> None:
        """Report runs that did not start, each with the id of its job: missed, skipped, or of a damaged job."""
        for job_id, run in runs:
            logger.warning(
                "%s %s: %s", job_id, run.status, run.reason, extra={"action": f"run_{run.status}", "job": job_id}
            )
            if run.status is RunStatus.SKIPPED:
                self._dispatch(JobSubmissionEvent(EVENT_JOB_MAX_INSTANCES, job_id, "default", [run.scheduled_time]))
            else:
                self._dispatch(JobExecutionEvent(EVENT_JOB_MISSED, job_id, "default", run.scheduled_time))

    def _dispatch(self, event: JobSubmissionEvent | JobExecutionEvent) -> None:
        self._scheduler._dispatch_event(event)


def _line(outcome: Outcome) -> str:
    took = f" {(outcome.finished_at - outcome.started_at).total_seconds():.3f} s" if outcome.started_at else ""
    why = (outcome.reason or outcome.error).partition("\n")[0]
    return f"{outcome.job_id} run {outcome.run_id} {outcome.status}{took}{': ' if why else ''}{why}"
