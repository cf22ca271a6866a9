"""The consequences of the ends of runs: incidents, and the pause of jobs that fail `pause_after` times in a row."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from ... import alerts
from ...alerts import End
from ...core.audit import Action, Door, Origin, acting
from ...core.runs import FAILURES, RunStatus
from ...definitions.skipped import save_skipped, skip_due
from ...models import Job, announce
from ...models.job import PAUSE_FIELDS
from ...records import history
from ...selectors.versions import whole_definition

logger = logging.getLogger("cronzimus.scheduler.store.failing")

SCHEDULER = Origin(actor="scheduler", door=Door.SCHEDULER)
"""Who pauses a job that keeps failing, as records name it."""


class Ended(Protocol):
    """The end of a run, as incidents see it."""

    @property
    def job_id(self) -> str:
        """The id of its job."""

    @property
    def run_id(self) -> int:
        """Its id."""

    @property
    def status(self) -> RunStatus:
        """How it ended."""

    @property
    def error(self) -> str:
        """The error of its function, "" for none."""

    @property
    def reason(self) -> str:
        """Why it ended, where that is not the error."""

    @property
    def finished_at(self) -> datetime:
        """When it ended."""


def observe_ends(ended: Sequence[Ended], now: datetime) -> None:
    """Let incidents observe the ends of runs in the transaction that records them, and pause jobs that keep failing.

    Call it after the retries of these runs are queued: a run that is tried again is no final failure.
    """
    retried = alerts.retried([run.run_id for run in ended if run.status is not RunStatus.SUCCEEDED])
    ends = [
        End(run.job_id, run.run_id, run.status, run.error or run.reason, run.finished_at,
            is_final=run.run_id not in retried)
        for run in ended
    ]  # fmt: skip
    alerts.observe(ends, now)
    pause_failing(ends, now)


def pause_failing(ends: Iterable[End], now: datetime) -> None:
    """Pause the failing jobs of `ends`, which the incidents have counted in this transaction already.

    One statement if something has failed, none otherwise. A job that somebody else is changing is left alone: its next
    failure pauses it.
    """
    failed = {end.job_id for end in ends if end.is_final and end.status in FAILURES}
    streaks = alerts.jobs_to_pause(failed) if failed else {}
    if not streaks:
        return
    for job in Job.objects.select_for_update(skip_locked=True).filter(pk__in=streaks, paused=False).order_by("pk"):
        times = "once" if streaks[job.pk] == 1 else f"{streaks[job.pk]} times in a row"
        before = whole_definition(job)
        save_skipped(skip_due(job, now, what="paused"))
        job.pause(now, by=SCHEDULER.actor, reason=f"failed {times}")
        job.save(update_fields=PAUSE_FIELDS)
        with acting(SCHEDULER):
            more = {"pause_reason": ("", job.pause_reason)}
            history.record_change(job, before, now=now, action=Action.JOB_PAUSED, more=more)
        logger.warning("job %s paused: it %s", job.pk, job.pause_reason, extra={"action": "job_paused", "job": job.pk})
    announce()
