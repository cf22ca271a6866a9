"""The enums of runs and jobs. Choices, checks, forms and documentation derive from them."""

from __future__ import annotations

import re
import secrets
from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run."""

    QUEUED = "queued"
    """Not started yet."""
    RUNNING = "running"
    """Its function is being called."""
    SUCCEEDED = "succeeded"
    """Its function returned."""
    FAILED = "failed"
    """Its function raised, or could not be called."""
    TIMED_OUT = "timed_out"
    """It was stopped because it took longer than its job allows."""
    CANCELLED = "cancelled"
    """Stopped, or never started: a person cancelled it, its job was removed, or a newer run replaced it."""
    LOST = "lost"
    """Its scheduler or worker died, so nobody knows how it ended."""
    MISSED = "missed"
    """Born finished: its fire time was seen later than the job's grace allows."""
    SKIPPED = "skipped"
    """Born finished: the job had as many active runs as it may have, or a person left the fire time out."""


ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING)
"""Runs that have not ended."""
FINISHED = tuple(status for status in RunStatus if status not in ACTIVE)
"""Runs that have ended."""
FAILURES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST)
"""The ends that count as failures, and after which a run is retried. A run that a person cancelled is none."""
UNSUCCESSFUL = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.LOST)
"""The ends without success of runs that were queued. Missed and skipped runs never were."""
DID_NOT_RUN = (RunStatus.MISSED, RunStatus.SKIPPED)
"""The statuses of fire times that did not run."""
EXCEPTIONAL = tuple(status for status in FINISHED if status is not RunStatus.SUCCEEDED)
"""All ends without success, also those of missed and skipped runs."""


class RunTrigger(StrEnum):
    """The reason for which a run exists."""

    SCHEDULE = "schedule"
    """A fire time of its job's trigger."""
    MANUAL = "manual"
    """A person, through the admin, the API or the command line."""
    RETRY = "retry"
    """An earlier attempt that did not succeed."""
    BACKFILL = "backfill"
    """A backfill: a person asked for fire times of the past."""
    TEST = "test"
    """A test of a definition: see `as_test`."""


UNSCHEDULED = (RunTrigger.MANUAL, RunTrigger.RETRY, RunTrigger.BACKFILL, RunTrigger.TEST)
"""The reasons other than a fire time."""

TEST_MARK = "~"
"""The first character of the `job_id` of test runs. No job's id has it."""


def as_test(job_id: str) -> str:
    """Return the `job_id` of test runs of a job, which need not be saved.

    It is the id of no job. So a test run counts for none: not for its state, its retries, `max_runs`, `pause_after`,
    `max_instances`, its figures or its alerts.
    """
    return f"{TEST_MARK}{job_id}"[:64]


def is_test(job_id: str) -> bool:
    """Tell whether a run with this `job_id` is a test run."""
    return str(job_id).startswith(TEST_MARK)  # SQLite may hold bytes


def job_behind(job_id: str) -> str:
    """Return the id of the job that a run with this `job_id` is of, test run or not."""
    return str(job_id).removeprefix(TEST_MARK)  # SQLite may hold bytes


class Overlap(StrEnum):
    """The policy for a fire time while the job has `max_instances` active runs."""

    SKIP = "skip"
    """Its run is skipped."""
    QUEUE = "queue"
    """Its run waits in a queue of at most `queue_limit` runs."""
    REPLACE = "replace"
    """The oldest active run is cancelled."""


class MissedChoice(StrEnum):
    """Which of the fire times that fell into a pause run when it ends."""

    NONE = "none"
    """None of them."""
    LAST = "last"
    """Only the latest one."""
    ALL = "all"
    """Every one of them."""


class Executor(StrEnum):
    """The kind of thread or process that calls the function of a run."""

    THREAD = "thread"
    """A thread of the scheduler: light, and it cannot be stopped from outside."""
    PROCESS = "process"
    """A process of its own, which can be stopped."""
    CELERY = "celery"
    """A process of a Celery worker, on any machine. It can be stopped, too."""


DISPATCHED = "celery"
"""The holder of runs in the queues of workers: nobody has started them, so no dead process loses them."""
REMOTE = f"{Executor.CELERY}:"
"""The prefix of the lanes that lead to workers."""


def lane_of(executor: str, queue: str | None) -> str:
    """Return the lane of a run: an executor of the scheduler, or a queue of workers such as "celery:reports"."""
    return f"{REMOTE}{queue}" if executor == Executor.CELERY else executor


def is_remote(lane: str) -> bool:
    """Tell whether a lane leads to workers."""
    return lane.startswith(REMOTE)


def queue_of_lane(lane: str) -> str:
    """Return the queue of a lane that leads to workers."""
    return lane.removeprefix(REMOTE)


_HOLDER = r"-[0-9]+-[0-9a-f]+"
"""The end of the id of a scheduler or worker: the number of its process, and a random part."""


def new_holder(hostname: str, pid: int) -> str:
    """Return a new id for a scheduler or a worker: its host, the number of its process, and a random part."""
    return f"{hostname}-{pid}-{secrets.token_hex(4)}"


def host_of(holder: str | None) -> str:
    """Return the host in the id of the scheduler or worker that holds a run; an id of another form as it is.

    "" for a run that is on its way to a worker: nobody holds it.
    """
    return "" if holder == DISPATCHED else re.sub(f"{_HOLDER}$", "", holder or "")


def holders_on(host: str) -> str:
    """Return the regular expression of the ids of all schedulers and workers on `host`."""
    return f"^{re.escape(host)}{_HOLDER}$"


class JobState(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    """It has not run yet."""
    RUNNING = "running"
    """It has run, and has a fire time to come. The admin says "active"."""
    PAUSED = "paused"
    """Its trigger is stopped."""
    COMPLETED = "completed"
    """It has no fire time left."""
    BROKEN = "broken"
    """It cannot run: its function is not registered, or its row is damaged."""
