"""Explain why a job ran, or did not run, at an instant, from its runs, its trigger and its policies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import cast

from ..core.exceptions import CronzimusError
from ..core.runs import ACTIVE, RunStatus, RunTrigger
from ..core.times import MICROSECOND
from ..core.triggers import Trigger
from ..definitions.triggers import trigger_of
from ..models import Job, Run
from .run_history import ATTEMPTS

SECOND = timedelta(seconds=1)
EARLIEST, LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""The bounds of instants: beyond them there is no room for the fire times around an instant."""
MAX_LATER = 20
"""Runs after an instant that are read to find the one that stands for it."""
DEFERRED = ("args", "kwargs", "result", "error", "traceback", "output", "output_marks")
"""The columns that are not read: they may be long."""
_IN_THE_WAY = re.compile(r"run (\d{1,18}) was active")


class Answer(StrEnum):
    """The fate of an instant of a job."""

    RAN = "ran"
    """A run was made for it, and has ended."""
    ACTIVE = "active"
    """Its run waits or is running."""
    MISSED = "missed"
    """A scheduler saw it too late."""
    SKIPPED = "skipped"
    """A policy or a person left it out."""
    COALESCED = "coalesced"
    """A later run stands for it."""
    TO_COME = "to come"
    """It lies in the future."""
    DUE = "due"
    """No scheduler has claimed it yet."""
    PAUSED = "paused"
    """The job is paused."""
    BEFORE = "before"
    """The job, or its trigger, did not exist then."""
    PRUNED = "pruned"
    """Runs of that time are no longer kept."""
    NO_FIRE_TIME = "no fire time"
    """The trigger does not name it."""
    UNKNOWN = "unknown"
    """No run was recorded for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer for the instant `at` of a job.

    `runs` are its attempts, the first one first. `before` and `after` are the fire times around `at`, if there are any.
    """

    answer: Answer
    at: datetime
    runs: tuple[Run, ...] = ()
    before: datetime | None = None
    after: datetime | None = None

    @property
    def run(self) -> Run | None:
        """The last attempt."""
        return self.runs[-1] if self.runs else None

    @property
    def in_the_way(self) -> int | None:
        """The id of the run that was active at a fire time that was skipped."""
        found = _IN_THE_WAY.match(self.run.reason) if self.run is not None else None
        return int(found[1]) if found else None


def explain(job: Job | None, job_id: str, at: datetime, now: datetime) -> Explanation:
    """Explain why the job `job_id` ran, or did not run, at the instant `at`; `job` is None if it was removed."""
    at = min(max(at, EARLIEST), LATEST)
    runs = _runs_at(job_id, at)
    trigger = _trigger(job)
    exact = runs[0].scheduled_time if runs else at
    before, after = _around(trigger, exact)
    if runs:
        return Explanation(answer=_answer(runs[-1]), at=exact, runs=runs, before=before, after=after)
    if trigger is None or job is None:
        return Explanation(answer=Answer.UNKNOWN, at=at)
    fire = trigger.next_after(at - MICROSECOND)
    if fire is None or fire >= at + SECOND:
        return Explanation(answer=Answer.NO_FIRE_TIME, at=at, before=before, after=fire)
    before, after = _around(trigger, fire)
    stand_in = _stands_for(job_id, fire, trigger)
    if stand_in is not None:
        answer = _answer(stand_in)
        answer = Answer.COALESCED if answer in (Answer.RAN, Answer.ACTIVE) else answer
        return Explanation(answer=answer, at=fire, runs=(stand_in,), before=before, after=after)
    return Explanation(answer=_unrecorded(job, fire, now), at=fire, before=before, after=after)


def _runs_at(job_id: str, at: datetime) -> tuple[Run, ...]:
    # A person types whole seconds; jitter gives fire times fractions of them.
    near = Run.objects.filter(job_id=job_id, scheduled_time__gte=at, scheduled_time__lt=at + SECOND)
    found = list(near.defer(*DEFERRED).order_by("scheduled_time", "attempt")[:ATTEMPTS])
    return tuple(run for run in found if run.scheduled_time == found[0].scheduled_time)


def _trigger(job: Job | None) -> Trigger | None:
    try:
        return None if job is None else trigger_of(job)
    except CronzimusError:
        return None


def _around(trigger: Trigger | None, at: datetime) -> tuple[datetime | None, datetime | None]:
    if trigger is None:
        return None, None
    return trigger.latest_until(at - MICROSECOND), trigger.next_after(at)


def _answer(run: Run) -> Answer:
    if run.status in ACTIVE:
        return Answer.ACTIVE
    return {RunStatus.MISSED: Answer.MISSED, RunStatus.SKIPPED: Answer.SKIPPED}.get(
        cast("RunStatus", run.status), Answer.RAN
    )


def _stands_for(job_id: str, fire: datetime, trigger: Trigger) -> Run | None:
    """Return the run after `fire` that stands for it, if it stands for several fire times."""
    later = Run.objects.filter(job_id=job_id, scheduled_time__gt=fire).order_by("scheduled_time", "attempt")
    for run in later.defer(*DEFERRED)[:MAX_LATER]:
        if run.trigger == RunTrigger.SCHEDULE:
            return run if trigger.count(fire, run.scheduled_time) < run.fire_times else None
    return None


def _unrecorded(job: Job, fire: datetime, now: datetime) -> Answer:
    if job.is_paused(now) and (fire > now or (job.paused_at is not None and fire >= job.paused_at)):
        end = job.paused_until
        return Answer.TO_COME if not job.paused and end is not None and fire >= end else Answer.PAUSED
    if fire > now:
        return Answer.TO_COME
    if job.next_run_time is not None and job.next_run_time <= fire:
        return Answer.DUE
    if fire < max(job.created_at, job.anchor):
        return Answer.BEFORE
    oldest = Run.objects.filter(job_id=job.pk).order_by("scheduled_time", "attempt").values_list("scheduled_time")[:1]
    if all(fire < at for (at,) in oldest):
        return Answer.PRUNED
    return Answer.UNKNOWN
