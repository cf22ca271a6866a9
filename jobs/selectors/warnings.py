"""Warnings of a job: surprising effects of its trigger, runs that overlap, secrets, and a queue without a worker."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from statistics import median

from ..conf import conf
from ..core.exceptions import InvalidTrigger
from ..core.runs import Executor, RunStatus
from ..core.secrets import KEY, names_in, plain_secrets
from ..core.triggers import TriggerWarning, WarningCode, warnings_of
from ..definitions.triggers import trigger_of
from ..functions import secrets
from ..models import Job, Run
from ..models.run import duration
from . import workers

RECENT = 40
"""The recent runs from which a job's usual duration is computed."""


def usual_duration(job_id: str) -> float | None:
    """Return the median duration of the job's recent successful runs, in seconds; None without one."""
    rows = (
        Run.objects.filter(job_id=job_id)
        .order_by("-scheduled_time", "-id")
        .values_list("status", "started_at", "finished_at")[:RECENT]  # index `run_once`
    )
    took = [duration(started, finished) for status, started, finished in rows if status == RunStatus.SUCCEEDED]
    seconds = [length.total_seconds() for length in took if length is not None]
    return median(seconds) if seconds else None


def job_warnings(job: Job, now: datetime, served: Collection[str] | None = None) -> list[TriggerWarning]:
    """Return the warnings of a stored job. A trigger that is damaged, or has no fire time to come, has none.

    `served` has the queues with a living worker, where that was asked already.
    """
    queue = queue_warnings(job.executor, job.queue, now, served)
    return [*_trigger_warnings(job, now), *secret_warnings(job.args, job.kwargs), *queue]


def queue_warnings(
    executor: str, queue: str, now: datetime, served: Collection[str] | None = None
) -> list[TriggerWarning]:
    """Return the warning of a job for workers whose `queue` none serves; no other job has one, or asks for workers."""
    if executor != Executor.CELERY:
        return []
    if not conf.CELERY_BROKER_URL:
        message = "CELERY_BROKER_URL is not set here: without it no scheduler sends runs to workers."
    elif queue in (workers.served_queues(now) if served is None else served):
        return []
    else:
        message = f"No worker serves the queue {queue}: the job stays due until one does."
    return [TriggerWarning(WarningCode.NO_WORKER, message)]


def secret_warnings(args: object, kwargs: object) -> list[TriggerWarning]:
    """Return warnings of arguments: secrets that are not found, and plain texts whose names look secret."""
    found = [
        TriggerWarning(
            WarningCode.UNKNOWN_SECRET,
            f"The secret {name!r} is not found here: unless the schedulers find it, the job's runs fail.",
        )
        for name in names_in(args, kwargs)
        if not secrets.exists(name)
    ]
    plain = ", ".join(map(repr, plain_secrets([args, kwargs])))
    if plain:
        message = f'{plain} looks secret and is stored in plain text: use {{"{KEY}": "NAME"}}.'
        found.append(TriggerWarning(WarningCode.PLAIN_SECRET, message))
    return found


def _trigger_warnings(job: Job, now: datetime) -> list[TriggerWarning]:
    if job.next_run_time is None and not job.paused:
        return []
    took = usual_duration(job.pk) if job.run_count else None
    try:
        return warnings_of(trigger_of(job), now=now, usual_duration=took, max_instances=job.max_instances)
    except InvalidTrigger:
        return []
