"""Warnings of a job: surprising effects of its trigger, runs that overlap, secrets, and a queue without a worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from ..conf import conf
from ..core.exceptions import InvalidTrigger
from ..core.runs import Executor, RunStatus
from ..core.secrets import KEY, names_in, plain_secrets
from ..core.triggers import warnings_of
from ..core.warnings import JobWarning, WarningCode
from ..definitions.triggers import trigger_of
from ..functions import secrets
from ..models import Job
from .recent import recent_runs
from .workers import Fleet

RECENT = 40
"""The recent runs from which a job's usual duration is computed."""


def usual_durations(job_ids: Sequence[str]) -> dict[str, float]:
    """Return the median duration of each job's recent successful runs, in seconds, by the job's id, in one query.

    Jobs without such a run are left out.
    """
    found = {}
    for job_id, runs in recent_runs(job_ids, RECENT).items():
        took = [run.seconds for run in runs if run.seconds is not None and run.status == RunStatus.SUCCEEDED]
        if took:
            found[job_id] = median(took)
    return found


def usual_duration(job_id: str) -> float | None:
    """Return the median duration of the job's recent successful runs, in seconds; None without one."""
    return usual_durations([job_id]).get(job_id)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The things beside jobs on which their warnings depend.

    `durations` has the usual durations of the jobs, by their ids, and `served` the queues with a living worker; None if
    nobody has asked yet.
    """

    durations: Mapping[str, float]
    served: Collection[str] | None


def surroundings(jobs: Iterable[Job], served: Collection[str] | None = None) -> Surroundings:
    """Return the surroundings of `jobs`, in one query."""
    return Surroundings(usual_durations([job.pk for job in jobs if job.run_count]), served)


def job_warnings(job: Job, now: datetime, around: Surroundings | None = None) -> list[JobWarning]:
    """Return the warnings of a stored job. A trigger that is damaged, or has no fire time to come, has none.

    `around` are the job's surroundings, where they were read already.
    """
    around = surroundings([job]) if around is None else around
    queue = queue_warnings(job.executor, job.queue, now, around.served)
    return [*_trigger_warnings(job, now, around), *secret_warnings(job.args, job.kwargs, job.executor), *queue]


def queue_warnings(executor: str, queue: str, now: datetime, served: Collection[str] | None = None) -> list[JobWarning]:
    """Return a warning if no worker serves the `queue` of a job for workers. Other jobs have none, and cost no query.

    `served` has the queues with a living worker, where they were read already.
    """
    if executor != Executor.CELERY:
        return []
    if not conf.CELERY_BROKER_URL:
        message = "CELERY_BROKER_URL is not set here: without it no scheduler sends runs to workers."
    elif queue in (Fleet(now).served if served is None else served):
        return []
    else:
        message = f"No worker serves the queue {queue}: the job stays due until one does."
    return [JobWarning(WarningCode.NO_WORKER, message)]


def secret_warnings(args: object, kwargs: object, executor: str) -> list[JobWarning]:
    """Return warnings of arguments: secrets that are not found, and plain texts whose names look secret.

    The process that starts the function reads a secret: a scheduler, or a worker.
    """
    readers = "workers" if executor == Executor.CELERY else "schedulers"
    found = [
        JobWarning(
            WarningCode.UNKNOWN_SECRET,
            f"The secret {name!r} is not found here: unless the {readers} find it, the job's runs fail.",
        )
        for name in names_in(args, kwargs)
        if not secrets.exists(name)
    ]
    plain = ", ".join(map(repr, plain_secrets([args, kwargs])))
    if plain:
        message = f'{plain} looks secret and is stored in plain text: use {{"{KEY}": "NAME"}}.'
        found.append(JobWarning(WarningCode.PLAIN_SECRET, message))
    return found


def _trigger_warnings(job: Job, now: datetime, around: Surroundings) -> list[JobWarning]:
    if job.next_run_time is None and not job.paused:
        return []
    took = around.durations.get(job.pk)
    try:
        return warnings_of(trigger_of(job), now=now, usual_duration=took, max_instances=job.max_instances)
    except InvalidTrigger:
        return []
