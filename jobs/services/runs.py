"""Run a job now, cancel a run, and try a run again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from ..core.audit import Action, current_actor
from ..core.exceptions import CronzimusError, RunActive, RunFinished, RunNotFound
from ..core.runs import ACTIVE, RunStatus, RunTrigger, as_test
from ..core.times import MICROSECOND
from ..definitions import validation
from ..definitions.arguments import clean_arguments
from ..definitions.policies import executor_of, queue_of
from ..definitions.triggers import trigger_of
from ..functions import registry
from ..models import Job, Run, announce
from ..records.audit import record
from .jobs import locked_job

logger = logging.getLogger("cronzimus.services.runs")


def run_job(
    job_id: str,
    *,
    now: datetime,
    args: object = None,
    kwargs: object = None,
    traceparent: str | None = None,
) -> Run:
    """Queue a run of a job, paused or not, and return it. `args` and `kwargs` replace the job's own.

    `traceparent` comes from the request (`core.traces`).

    The run starts as soon as fewer than `max_instances` runs of the job are active. Raises `JobNotFound`, and
    `InvalidFunction` or `InvalidArguments` if it could not run.
    """
    with transaction.atomic():
        job = locked_job(job_id)
        function = registry.lookup(job.func)
        given = clean_arguments(function, job.args if args is None else args, job.kwargs if kwargs is None else kwargs)
        run = Run(
            job=job, func=job.func, status=RunStatus.QUEUED, trigger=RunTrigger.MANUAL, actor=current_actor(),
            scheduled_time=_free_instant(job, now), queued_at=now, executor=executor_of(job), queue=queue_of(job),
            version=job.version, timeout=job.timeout, priority=job.priority, concurrency_group=job.concurrency_group,
            args=given[0], kwargs=given[1], traceparent=traceparent,
        )  # fmt: skip
        run.save(force_insert=True)
        others = {name: (getattr(job, name), value) for name, value in (("args", args), ("kwargs", kwargs))
                  if value is not None}  # fmt: skip
        record(Action.RUN_QUEUED, now=now, job_id=job_id, object_id=run.pk, changes=others)
        announce()
    logger.info("run %s of job %s queued", run.pk, job_id, extra={"action": "run_queued", "run": run.pk, "job": job_id})
    return run


def run_test(body: Mapping[str, Any], *, now: datetime, job: Job | None = None) -> Run:
    """Queue a test run of the job that `body` defines, and return it. No job is added or changed.

    It starts as soon as there is a free slot, beside active runs of the job, and counts for no job (`core.runs`).

    Args:
        body: the definition, flat as in the contract; without a `job` it has an `id`.
        now: aware.
        job: the stored job that `body` would change; None for a new one.

    Raises a subclass of `InvalidRequest` that names every bad field.
    """
    tried, _ = validation.tried(body, now=now, job=job, allow_past=True)
    args, kwargs = clean_arguments(registry.lookup(tried.func), tried.args, tried.kwargs)
    with transaction.atomic():
        run = Run(
            job_id=as_test(tried.id), func=tried.func, status=RunStatus.QUEUED, trigger=RunTrigger.TEST,
            actor=current_actor(), scheduled_time=now, queued_at=now, executor=executor_of(tried),
            queue=queue_of(tried), timeout=tried.timeout, priority=tried.priority, args=args, kwargs=kwargs,
        )  # fmt: skip
        while Run.objects.filter(job_id=run.job_id, scheduled_time=run.scheduled_time).exists():
            run.scheduled_time += MICROSECOND
        run.save(force_insert=True)
        record(Action.RUN_TESTED, now=now, job_id=tried.id, object_id=run.pk)
        announce()
    extra = {"action": "run_tested", "run": run.pk, "job": run.job_id}
    logger.info("test run %s of job %s queued", run.pk, tried.id, extra=extra)
    return run


def cancel_run(run_id: int, *, now: datetime) -> Run:
    """Cancel a run, and return it. A waiting run ends at once.

    A run in a process is stopped. One in a thread cannot be stopped: its function has to look at
    `RunContext.cancelled`. If somebody has asked to cancel it already, that stands. Raises `RunNotFound`, and
    `RunFinished` if the run has ended.
    """
    with transaction.atomic():
        run = _found(Run.objects.select_for_update(), run_id)
        if run.status not in ACTIVE:
            raise RunFinished(f"run {run_id} has ended already: {run.status.replace('_', ' ')}")
        if not Run.objects.filter(pk=run.pk).cancel(f"cancelled by {current_actor() or 'a request'}", now):
            return run
        record(Action.RUN_CANCELLED, now=now, job_id=run.job_id, object_id=run.pk)
        announce()
    run.refresh_from_db()
    logger.info("run %s cancelled", run_id, extra={"action": "run_cancelled", "run": run_id})
    return run


def retry_run(run_id: int, *, now: datetime, traceparent: str | None = None) -> Run:
    """Queue one more attempt of a run that has ended, with its arguments, and return it.

    If the scheduled time is damaged, the attempt is for this instant. Raises `RunNotFound`, and `RunActive` if the run,
    or another attempt of its fire time, has not ended.
    """
    with transaction.atomic():
        run = _found(Run.objects.all(), run_id)
        at = now if run.scheduled_time is None else run.scheduled_time
        attempts = Run.objects.filter(job_id=run.job_id, scheduled_time=at).order_by("attempt")
        # All attempts are locked in one order, so that one of two requests for a fire time waits for the other. Then
        # they are read again: PostgreSQL's first statement does not see the attempt that the other request has added.
        list(attempts.select_for_update().values_list("pk"))
        numbers = [0]
        for attempt in attempts:
            if attempt.status in ACTIVE:
                raise RunActive(f"run {attempt.pk}, an attempt of the same fire time, is {attempt.status}")
            numbers.append(attempt.attempt)
        again = Run.objects.create(
            job_id=run.job_id, func=run.func, args=run.args, kwargs=run.kwargs, scheduled_time=at,
            status=RunStatus.QUEUED, trigger=RunTrigger.RETRY, actor=current_actor(), queued_at=now,
            attempt=max(numbers) + 1, fire_times=run.fire_times,
            executor=run.executor, queue=run.queue, version=run.version, timeout=run.timeout,
            priority=run.priority, concurrency_group=run.concurrency_group, traceparent=traceparent,
        )  # fmt: skip
        record(
            Action.RUN_RETRIED, now=now, job_id=run.job_id, object_id=again.pk,
            changes={"attempt": (run.attempt, again.attempt)},
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
    # Two people may ask within one microsecond; under the job's lock the next free instant stays free. An unclaimed
    # fire time is not free: its own run could not be saved beside this one.
    while _is_due_at(job, now) or Run.objects.filter(job_id=job.id, scheduled_time=now).exists():
        now += MICROSECOND
    return now


def _is_due_at(job: Job, instant: datetime) -> bool:
    if job.next_run_time is None or job.next_run_time > instant:
        return False
    try:
        return trigger_of(job).count(instant - MICROSECOND, instant) > 0
    except CronzimusError:
        return False
