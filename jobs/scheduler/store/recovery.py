"""Mark the runs of dead schedulers and workers as lost, so that no run stays `running` for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import OperationalError, connection, transaction
from django.db.models import Q

from ... import alerts
from ...core.runs import Executor, RunStatus
from ...db.errors import is_locked
from ...models import Job, Run, Scheduler, Worker
from ...models.scheduler import FARTHEST, LeaseQuerySet
from .failing import observe_ends
from .outcomes import count_ended, queue_retries

logger = logging.getLogger("cronzimus.scheduler.store.recovery")

KEEP_STOPPED = timedelta(days=7)
"""Time for which the row of a stopped scheduler or worker is kept."""
FORGOTTEN = "the database was restored or failed over after it ended"
"""Why a run is marked as lost that its holder has ended but the database still shows as running."""
ENDED_BY_OTHERS = "others had ended it before"
"""Why a holder ends a run that the database no longer shows as running. Not stored: the row has its own reason."""


class Lost(NamedTuple):
    """The end of a run that was lost."""

    run_id: int
    job_id: str
    reason: str
    finished_at: datetime
    status: RunStatus = RunStatus.LOST
    error: str = ""


def recover(now: datetime, read_again: Callable[[], datetime]) -> int:
    """Mark the runs of schedulers whose lease is over at `now` as lost; return their number.

    `read_again` reads the clock again; see `lock_dead`.
    """
    return _bury_dead(now, read_again) + _lose_unowned(now)


def recover_workers(now: datetime, read_again: Callable[[], datetime]) -> int:
    """Mark the runs of workers whose lease is over at `now` as lost; return their number.

    `read_again` reads the clock again; see `lock_dead`.
    """
    with transaction.atomic():
        dead = lock_dead(Worker.objects.all(), now, read_again)
        reason = f"its worker's lease ended at {now:%Y-%m-%d %H:%M:%S} UTC without a heartbeat"
        lost = lose(dead, reason, now, skip_locked=True) if dead else 0
        Worker.objects.filter(id__in=dead).update(stopped_at=now, running_runs=0, slots=0)
    for worker_id in dead:
        logger.warning("worker %s is dead", worker_id, extra={"action": "worker_dead"})
    # A worker that froze while it started a run commits that when it wakes, under a lease that others ended.
    living = Worker.objects.filter(stopped_at__isnull=True).values("id")
    started = Run.objects.active().filter(executor=Executor.CELERY, status=RunStatus.RUNNING)
    ids = list(started.exclude(scheduler_id__in=living).order_by().values_list("scheduler_id", flat=True).distinct())
    return lost + (lose(ids, "its worker's lease had ended before", now, skip_locked=True) if ids else 0)


def lock_dead(leases: LeaseQuerySet, now: datetime, read_again: Callable[[], datetime]) -> list[str]:
    """Lock the rows that are dead at `now` and that nobody else has locked; return their ids.

    This process may have been frozen since `now`. Leases that others renewed meanwhile would then look too long to be
    true, so their length is judged by a clock reading taken after the lock.
    """
    found = list(leases.dead(now).select_for_update(skip_locked=True).values_list("id", "lease_until"))
    longest = read_again() + FARTHEST
    return [lease_id for lease_id, until in found if until <= now or until > longest]


def _bury_dead(now: datetime, read_again: Callable[[], datetime]) -> int:
    with transaction.atomic():
        ids = lock_dead(Scheduler.objects.all(), now, read_again)
        if not ids:
            return 0
        reason = f"its scheduler's lease ended at {now:%Y-%m-%d %H:%M:%S} UTC without a heartbeat"
        lost = lose(ids, reason, now, skip_locked=True)
        Scheduler.objects.filter(id__in=ids).update(stopped_at=now, queued_runs=0, running_runs=0)
        alerts.scheduler_lost(ids, now)
    for scheduler_id in ids:
        logger.warning("scheduler %s is dead", scheduler_id, extra={"action": "scheduler_dead"})
    return lost


def _lose_unowned(now: datetime) -> int:
    # A scheduler that froze in the middle of a claim commits it when it wakes, under a lease that others ended.
    living = Scheduler.objects.filter(stopped_at__isnull=True).values("id")
    # `recover_workers` finds the runs that workers hold; those on their way to one are held by nobody.
    unowned = Run.objects.active().filter(~Q(executor=Executor.CELERY), scheduler_id__isnull=False)
    unowned = unowned.exclude(scheduler_id__in=living)
    ids = list(unowned.order_by().values_list("scheduler_id", flat=True).distinct())
    return lose(ids, "its scheduler's lease had ended before", now, skip_locked=True) if ids else 0


@transaction.atomic
def lose(
    holders: Sequence[str],
    reason: str,
    now: datetime,
    *,
    skip_locked: bool = False,
    only: Sequence[int] | None = None,
) -> int:
    """Mark the active runs that `holders` hold, or `only` these of them, as lost for `reason`; return how many.

    With `skip_locked`, runs are left as they are while somebody else is writing them, their job or its incidents.
    """
    held = Run.objects.active().filter(scheduler_id__in=holders)
    if only is not None:
        held = held.filter(id__in=only)
    # Locked, so that an outcome that is being written comes first, and its run is not counted twice. Schedulers must
    # not wait for each other's locks on runs, which could deadlock; skipped runs are found with the next heartbeat.
    lost = list(held.order_by("id").select_for_update(skip_locked=skip_locked).values_list("id", "job_id"))
    if skip_locked:
        locked_jobs = _locked_jobs({job_id for _, job_id in lost})
        lost = [(run_id, job_id) for run_id, job_id in lost if job_id not in locked_jobs]
    ids, ended = [run_id for run_id, _ in lost], [Lost(run_id, job_id, reason, now) for run_id, job_id in lost]
    Run.objects.filter(id__in=ids).update(status=RunStatus.LOST, reason=reason, finished_at=now)
    queue_retries(ids, now)
    # The jobs before the incidents, and by id, in the same order as the outcomes: this avoids deadlocks.
    count_ended(ended)
    observe_ends(ended, now)
    for run_id, job_id in lost:
        logger.warning("run %s of job %s is lost", run_id, job_id, extra={"action": "run_lost", "run": run_id})
    return len(lost)


def lose_own(holder: str, reason: str, now: datetime) -> int:
    """Mark the active runs of a scheduler or worker that signs off as lost for `reason`; return how many.

    Runs that stay locked are left for others, who find them when they are free.
    """
    try:
        return lose([holder], reason, now)
    except OperationalError as error:
        if not is_locked(error):
            raise
        return lose([holder], reason, now, skip_locked=True)


def _locked_jobs(job_ids: Collection[str]) -> set[str]:
    """Lock the jobs and their open incidents; return the jobs of which somebody else has locked one or the other."""
    if not job_ids or not connection.features.has_select_for_update_skip_locked:
        return set()
    jobs = Job.objects.filter(pk__in=job_ids)
    locked_now = set(jobs.select_for_update(skip_locked=True, no_key=True).values_list("pk", flat=True))
    return (set(jobs.values_list("pk", flat=True)) - locked_now) | alerts.locked_jobs(locked_now)


def forget_stopped(now: datetime) -> None:
    """Delete the rows of schedulers that stopped long ago. Their runs keep the scheduler's id."""
    Scheduler.objects.filter(stopped_at__lt=now - KEEP_STOPPED).delete()


def forget_stopped_workers(now: datetime) -> None:
    """Delete the rows of workers that stopped long ago. Their runs keep the worker's id."""
    Worker.objects.filter(stopped_at__lt=now - KEEP_STOPPED).delete()
