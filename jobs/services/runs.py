"""Runs that people ask for, and the ends of runs that they ask for."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet

from ..core.exceptions import CronzimusError, RunActive, RunFinished, RunNotFound
from ..core.runs import ACTIVE, RunStatus, RunTrigger
from ..definitions import policies
from ..definitions.arguments import clean_arguments
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..models import Job, Run, announce
from .jobs import locked_job

logger = logging.getLogger("cronzimus.services.runs")


def run_job(job_id: str, *, now: datetime, actor: str = "", args: object = None, kwargs: object = None) -> Run:
    """Queue a run of a job, paused or not, and return it; `args` and `kwargs` take the place of the job's own.

    It starts at once, or as soon as fewer than `max_instances` runs of the job are active. Raises `JobNotFound`, and
    `InvalidFunction` or `InvalidArguments` where it could not run.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        function = registry.lookup(job.func)
        given = clean_arguments(function, job.args if args is None else args, job.kwargs if kwargs is None else kwargs)
        run = Run(
            job=job, func=job.func, status=RunStatus.QUEUED, trigger=RunTrigger.MANUAL, actor=actor,
            scheduled_time=_free_instant(job, now), queued_at=now, executor=policies.executor_of(job),
            timeout=job.timeout, priority=job.priority, concurrency_group=job.concurrency_group,
            args=given[0], kwargs=given[1],
        )  # fmt: skip
        run.save(force_insert=True)
        announce()
    logger.info("run %s of job %s queued", run.pk, job_id, extra={"action": "run_queued", "run": run.pk, "job": job_id})
    return run


def cancel_run(run_id: int, *, now: datetime, actor: str = "") -> Run:
    """Cancel a run: at once where it has not started, and otherwise as its executor can; return it as it is then.

    A process is stopped. A thread can not be: its function finds `RunContext.cancelled` true, should it look. Raises
    `RunNotFound`, and `RunFinished` where there is nothing left to cancel.
    """
    with transaction.atomic():
        run = _found(Run.objects.select_for_update(), run_id)
        if run.status not in ACTIVE:
            raise RunFinished(f"run {run_id} has ended already: {run.status.replace('_', ' ')}")
        Run.objects.filter(pk=run.pk).cancel(f"cancelled by {actor or 'a request'}", now)
        announce()
    run.refresh_from_db()
    logger.info("run %s cancelled", run_id, extra={"action": "run_cancelled", "run": run_id})
    return run


def retry_run(run_id: int, *, now: datetime, actor: str = "") -> Run:
    """Queue one more attempt of a run that has ended, with its arguments, and return it.

    One whose scheduled time was damaged is tried again as one of this instant. Raises `RunNotFound`, and `RunActive`
    where the run, or a later attempt of it, has not ended.
    """
    with transaction.atomic():
        run = _found(Run.objects.all(), run_id)
        at = now if run.scheduled_time is None else run.scheduled_time
        # All attempts are locked, in one order: of two requests for a fire time the second one finds the first one's.
        attempts = list(
            Run.objects.filter(job_id=run.job_id, scheduled_time=at).select_for_update().order_by("attempt")
        )
        active = next((attempt for attempt in attempts if attempt.status in ACTIVE), None)
        if active is not None:
            raise RunActive(f"run {active.pk}, an attempt of the same fire time, is {active.status}")
        again = Run.objects.create(
            job_id=run.job_id, func=run.func, args=run.args, kwargs=run.kwargs, scheduled_time=at,
            status=RunStatus.QUEUED, trigger=RunTrigger.RETRY, actor=actor, queued_at=now,
            attempt=max((attempt.attempt for attempt in attempts), default=0) + 1, fire_times=run.fire_times,
            executor=run.executor, timeout=run.timeout, priority=run.priority, concurrency_group=run.concurrency_group,
        )  # fmt: skip
        announce()
    logger.info("run %s tried again as %s", run_id, again.pk, extra={"action": "run_retried", "run": again.pk})
    return again


def _found(runs: QuerySet[Run], run_id: int) -> Run:
    try:
        return runs.get(pk=run_id)
    except (Run.DoesNotExist, ValueError, OverflowError) as error:
        raise RunNotFound(f"there is no run {run_id}") from error


def _free_instant(job: Job, now: datetime) -> datetime:
    # Two people may ask within one microsecond; under the job's lock the next free instant stays free. Nor may a fire
    # time be taken that is still to be claimed: its own run could not be written beside this one.
    while _is_due_at(job, now) or Run.objects.filter(job_id=job.id, scheduled_time=now).exists():
        now += timedelta(microseconds=1)
    return now


def _is_due_at(job: Job, instant: datetime) -> bool:
    if job.next_run_time is None or job.next_run_time > instant:
        return False
    try:
        return trigger_of(job).count(instant - timedelta(microseconds=1), instant) > 0
    except CronzimusError:
        return False
