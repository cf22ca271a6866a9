"""The start of runs on workers.

With its start the holder of a run becomes the worker, and from then on it is written as the runs of a scheduler are.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import connection
from django.db.models import Q

from ...core.held import HeldRun
from ...core.runs import RunStatus
from ...models import Run
from . import bulk
from .dispatch import THIS_DISPATCH_SQL, Dispatch, dispatches_as_table
from .held import DISPATCHED_COLUMNS_SQL, dispatched_run


def start_runs(wanted: Collection[Dispatch], worker_id: str, now: datetime, until: datetime) -> list[HeldRun]:
    """Start runs on the worker `worker_id`, and return the started ones: each run starts at most once, on one worker.

    From `until` on, the end of the worker's lease, the database starts none: the statement may have been long on its
    way, and its worker would have given up the runs without calling a function.

    A delivery that is not the run's last one starts nothing, nor does one of a run that has started elsewhere, has
    ended, or is to be cancelled. Where the answer of an earlier call was lost, the worker may ask again, also for a run
    that is to be cancelled since: the worker holds it, so nobody else would end it. A run whose row somebody else has
    locked does not start now, and keeps no other from its start; `startable` tells which.
    """
    source, data = dispatches_as_table(wanted)
    at = bulk.INSTANT_SQL[connection.vendor]
    # Read when the statement is executed, on SQLite with its lock.
    is_in_time = f"clock_timestamp() < {at}" if connection.vendor == "postgresql" else "julianday() < julianday(%s)"
    chosen = bulk.unlocked_runs(
        source,
        f"{THIS_DISPATCH_SQL} AND {is_in_time} "
        "AND ((cronzimus_run.status = 'queued' AND cancel_requested_at IS NULL) "
        "OR (cronzimus_run.status = 'running' AND scheduler_id = %s))",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cronzimus_run SET status = 'running', scheduler_id = %s, started_at = {at}, "  # noqa: S608
            f"dispatched_at = COALESCE(dispatched_at, {at}) {chosen} "
            f"RETURNING {DISPATCHED_COLUMNS_SQL}",
            [worker_id, bulk.instant(now), bulk.instant(now), data, bulk.instant(until), worker_id],
        )
        return [dispatched_run(row, worker_id) for row in cursor.fetchall()]


def startable(wanted: Collection[Dispatch], worker_id: str) -> set[str]:
    """Return the `dispatch_id` of each of `wanted` whose run could start on the worker `worker_id`.

    If `start_runs` has not started it, somebody else has locked its row.
    """
    if not wanted:
        return set()
    may_start = Q(status=RunStatus.QUEUED, cancel_requested_at=None)
    has_started = Q(status=RunStatus.RUNNING, scheduler_id=worker_id)
    found = Run.objects.filter(may_start | has_started, pk__in=[dispatch.run_id for dispatch in wanted])
    ids = set(found.values_list("id", "dispatch_id"))
    return {dispatch.dispatch_id for dispatch in wanted if (dispatch.run_id, dispatch.dispatch_id) in ids}


def runs_of(worker_id: str) -> set[int]:
    """Return the ids of the runs that are running on the worker `worker_id` (index `run_held`)."""
    running = Run.objects.active().filter(scheduler_id=worker_id, status=RunStatus.RUNNING)
    return set(running.values_list("id", flat=True))
