"""What a run is: its statuses, what starts one, and what a function may know of its own."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Every status that a run can have; the model, the database's check, the admin and the API derive from it."""

    QUEUED = "queued"
    """Claimed, or asked for by a person; not started."""
    RUNNING = "running"
    """Its function is being called."""
    SUCCEEDED = "succeeded"
    """Its function returned."""
    FAILED = "failed"
    """Its function raised, or could not be called."""
    TIMED_OUT = "timed_out"
    """It was stopped because it took longer than its job allows."""
    CANCELLED = "cancelled"
    """It was stopped, or not started: a person asked for it, its job was removed, or a newer run replaced it."""
    LOST = "lost"
    """Its scheduler died, or was ended, before it was known to have finished."""
    MISSED = "missed"
    """Born finished: its fire time was seen later than the job's grace allows."""
    SKIPPED = "skipped"
    """Born finished: the job had as many active runs as it may have, or a person left the fire time out."""


ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING)
"""Runs that have not ended."""
FINISHED = tuple(status for status in RunStatus if status not in ACTIVE)
"""Runs that have ended."""
UNSUCCESSFUL = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.LOST)
"""Runs that were started, or taken, and did not succeed."""
EXCEPTIONAL = tuple(status for status in FINISHED if status is not RunStatus.SUCCEEDED)
"""Runs that ended in any way but the usual one."""


class RunTrigger(StrEnum):
    """What made a run."""

    SCHEDULE = "schedule"
    """A fire time of its job's trigger."""
    MANUAL = "manual"
    """A person, through the admin, the API or the command line."""
    RETRY = "retry"
    """An attempt before it that did not succeed."""
    BACKFILL = "backfill"
    """A backfill: a person asked for fire times of the past."""


UNSCHEDULED = (RunTrigger.MANUAL, RunTrigger.RETRY, RunTrigger.BACKFILL)
"""What makes a run beside its job's trigger."""


class Overlap(StrEnum):
    """What becomes of a fire time that comes while its job has as many active runs as it may have."""

    SKIP = "skip"
    """Its run is skipped."""
    QUEUE = "queue"
    """Its run waits for its turn, in a queue with a bound."""
    REPLACE = "replace"
    """The oldest active run is cancelled for it."""


class Executor(StrEnum):
    """What calls the function of a run; the model, the database's check, the admin and the API derive from it."""

    THREAD = "thread"
    """A thread of the scheduler: light, and it cannot be stopped from outside."""
    PROCESS = "process"
    """A process of its own, which can be stopped."""


class JobState(StrEnum):
    """The states of a job that the API shows."""

    PENDING = "pending"
    """It waits for its first run."""
    RUNNING = "running"
    """It is active and has run."""
    PAUSED = "paused"
    """Its trigger is stopped."""
    COMPLETED = "completed"
    """It has no fire time left."""
    BROKEN = "broken"
    """Its row can not be understood: its function is not registered, or its trigger is not one."""
