"""Pause jobs that have failed `pause_after` times in a row."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from ... import alerts
from ...alerts import End
from ...core.audit import Action, Door, Origin, acting
from ...core.runs import FAILURES
from ...definitions.skipped import save_skipped, skip_due
from ...models import Job, announce
from ...models.job import PAUSE_FIELDS
from ...records import history
from ...selectors.versions import whole_definition

logger = logging.getLogger("cronzimus.scheduler.store.failing")

SCHEDULER = Origin(actor="scheduler", door=Door.SCHEDULER)
"""Who pauses a job that keeps failing, as records name it."""


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
