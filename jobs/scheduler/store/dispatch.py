"""Runs on workers: how many their queues may be given, their way there, and their start.

A run that is dispatched is held by nobody (`DISPATCHED`): its row is the outbox. Whoever finds it unpublished publishes
it. It has the id of the one delivery that may start it, so that a message that comes twice starts nothing twice. With
its start its holder becomes the worker, and from then on it is written as the runs of a scheduler are.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Least

from ...core.capacity import Capacity
from ...core.dispatches import COUNTS_AS_LOST_AFTER, COUNTS_AS_LOST_AT_LATEST, counts_as_lost_after, new_dispatch_id
from ...core.held import HeldRun
from ...core.json import parse_stored
from ...core.runs import DISPATCHED, Executor, RunStatus, lane_of
from ...models import Run
from ...models.scheduler import FARTHEST
from . import bulk
from .held import ACTIVE_SQL, HELD_COLUMNS, held_run

logger = logging.getLogger("cronzimus.scheduler.store.dispatch")

MAX_LOOKED_AT = 1000
"""Dispatched runs that one search for lost messages reads."""
MAX_DISPATCHES = 32_767
"""The largest number that the column `dispatches` holds. A run that is sent more often keeps it."""
DISPATCH_COLUMNS = ("id", "queue", "dispatch_id", "traceparent")
ONE_MORE = Least(F("dispatches"), MAX_DISPATCHES - 1) + 1
DISPATCHED_COLUMNS_SQL = bulk.qualified("cronzimus_run", (*HELD_COLUMNS, "queue", "dispatch_id"))
"""The columns of a run that `_held` reads."""
THIS_DISPATCH_SQL = "cronzimus_run.dispatch_id = v.dispatch_id"


class Dispatch(NamedTuple):
    """A delivery of a run to a worker: the run, the queue, and the id without which it starts nothing.

    `traceparent` is the run's; "" for none.
    """

    run_id: int
    queue: str
    dispatch_id: str
    traceparent: str = ""


class LivingWorker(NamedTuple):
    """A living worker: the queues that it serves, its slots, and the further runs that it wants in them."""

    id: str
    queues: frozenset[str]
    slots: int
    ahead: int


class Survey(NamedTuple):
    """Whether runs are on their way to workers, and whether there may be runs of dead workers."""

    on_their_way: bool
    dead: bool


def queue_capacity(now: datetime) -> Capacity:
    """Return the number of runs that each queue with a living worker may be given, by its lane.

    Schedulers that ask at the same moment get the same number, and may each send as many. Queues share workers, so only
    one lock for all claims of runs for workers could keep them apart, and a scheduler would wait for the others.
    """
    workers = _alive(now)
    if not workers:
        return Capacity({})
    running, waiting = _taken(workers)
    return free_places(workers, running, waiting)


def free_places(workers: Sequence[LivingWorker], running: Mapping[str, int], waiting: Mapping[str, int]) -> Capacity:
    """Return the number of runs that each queue can still take, by its lane.

    `running` has the runs of each worker, `waiting` those on their way in each queue. A run that waits may take a slot
    of any worker of its queue, so it counts against all queues that share a worker with its own.
    """
    free: dict[str, int] = {}
    rivals: dict[str, list[str]] = {}
    for queue in sorted({name for worker in workers for name in worker.queues}):
        serving = [worker for worker in workers if queue in worker.queues]
        slots = sum(max(worker.slots + worker.ahead - running.get(worker.id, 0), 0) for worker in serving)
        sharing = {name for worker in serving for name in worker.queues}
        lane = lane_of(Executor.CELERY, queue)
        free[lane] = max(slots - sum(waiting.get(name, 0) for name in sharing), 0)
        rivals[lane] = [lane_of(Executor.CELERY, name) for name in sharing]
    return Capacity(free, rivals)


def take_for_workers(run_ids: Sequence[int], now: datetime) -> list[HeldRun]:
    """Dispatch the runs that are still waiting, and return them in the order of `run_ids`."""
    if not run_ids:
        return []
    rows = [{"id": run_id, "dispatch_id": new_dispatch_id(now)} for run_id in run_ids]
    source, data = bulk.rows_as_table({"id": "number", "dispatch_id": "text"}, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cronzimus_run SET scheduler_id = '{DISPATCHED}', dispatch_id = v.dispatch_id, dispatches = 1, "  # noqa: S608
            f"dispatched_at = NULL FROM {source} WHERE cronzimus_run.id = v.id AND cronzimus_run.status = 'queued' "
            f"AND scheduler_id IS NULL RETURNING {DISPATCHED_COLUMNS_SQL}",
            [data],
        )
        taken = {run.id: run for run in (_held(row) for row in cursor.fetchall())}
    return [taken[run_id] for run_id in run_ids if run_id in taken]


def survey(now: datetime) -> Survey:
    """Say what there is to look after: one statement of a few index look-ups (`run_held`).

    Every scheduler asks every few seconds, and mostly there is nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT 1 FROM cronzimus_run WHERE scheduler_id = '{DISPATCHED}' "  # noqa: S608
            f"AND status IN ({ACTIVE_SQL})), EXISTS (SELECT 1 FROM cronzimus_worker WHERE stopped_at IS NULL "
            "AND (lease_until <= %s OR lease_until > %s)) OR EXISTS (SELECT 1 FROM cronzimus_run r "
            f"WHERE r.status IN ({ACTIVE_SQL}) AND r.executor = '{Executor.CELERY}' AND r.scheduler_id IS NOT NULL "
            f"AND r.scheduler_id <> '{DISPATCHED}' AND NOT EXISTS (SELECT 1 FROM cronzimus_worker w "
            "WHERE w.id = r.scheduler_id AND w.stopped_at IS NULL))",
            [bulk.instant(now), bulk.instant(now + FARTHEST)],
        )
        return Survey(*(bool(found) for found in cursor.fetchone()))


def unpublished() -> list[Dispatch]:
    """Return the deliveries that are not recorded as published."""
    found = _dispatched().filter(dispatched_at__isnull=True).order_by("id")
    rows = found.values_list(*DISPATCH_COLUMNS)[:MAX_LOOKED_AT]
    return [Dispatch(run_id, *(text or "" for text in texts)) for run_id, *texts in rows]


def mark_published(dispatches: Iterable[Dispatch], now: datetime) -> None:
    """Record that messages were published."""
    source, data = _as_table(dispatches)
    unpublished = f"{THIS_DISPATCH_SQL} AND cronzimus_run.status = 'queued' AND dispatched_at IS NULL"
    chosen = bulk.unlocked_runs(source, unpublished)
    is_postgresql = connection.vendor == "postgresql"
    with transaction.atomic(), connection.cursor() as cursor:
        if is_postgresql:
            # The next messages need not wait for the disk: if this is lost, these are sent once more.
            cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(
            f"UPDATE cronzimus_run SET dispatched_at = {bulk.INSTANT_SQL[connection.vendor]} {chosen}",  # noqa: S608
            [bulk.instant(now), data],
        )


def dispatch_again(now: datetime) -> list[Dispatch]:
    """Give runs whose message seems to be lost a new one, and return these. The old message starts nothing any more.

    Those are runs whose message is older than `counts_as_lost_after`, while a worker of their queue has a free slot.
    The others wait.
    """
    late = _dispatched().filter(dispatched_at__lt=now - COUNTS_AS_LOST_AFTER)
    if not late.exists():
        return []
    workers = _alive(now)
    running, _ = _taken(workers)
    open_queues = {name for worker in workers if worker.slots > running.get(worker.id, 0) for name in worker.queues}
    # The database picks the queues: the late runs of a full one must not use up the limit.
    lost = late.filter(_counts_as_lost(now), queue__in=open_queues).order_by("id")
    again: list[Dispatch] = []
    for run_id, queue, old, traceparent in lost.values_list(*DISPATCH_COLUMNS)[:MAX_LOOKED_AT]:
        new = Dispatch(run_id, queue or "", new_dispatch_id(now), traceparent or "")
        if _replace(old, new):
            message = "the message of run %d seems to be lost: it is sent again to queue %s"
            logger.warning(message, run_id, queue, extra={"action": "run_dispatched_again", "run": run_id})
            again.append(new)
    return again


def send_again(dispatch: Dispatch, now: datetime) -> None:
    """Have a run sent again that its worker did not start: the next scheduler that looks publishes a new message.

    The message of `dispatch` starts nothing any more.
    """
    _replace(dispatch.dispatch_id, dispatch._replace(dispatch_id=new_dispatch_id(now)))


def _counts_as_lost(now: datetime) -> Q:
    dispatches, condition = 1, Q()
    while (age := counts_as_lost_after(dispatches)) < COUNTS_AS_LOST_AT_LATEST:
        condition |= Q(dispatches=dispatches, dispatched_at__lt=now - age)
        dispatches += 1
    return condition | Q(dispatches__gte=dispatches, dispatched_at__lt=now - COUNTS_AS_LOST_AT_LATEST)


@transaction.atomic
def _replace(old: str | None, new: Dispatch) -> bool:
    """Give a run a new dispatch; return whether it still had the `old` one, and nobody else has locked it."""
    found = _dispatched().filter(pk=new.run_id, dispatch_id=old)
    has_row_locks = connection.features.has_select_for_update_skip_locked
    if has_row_locks and not found.select_for_update(skip_locked=True).values_list("pk"):
        return False
    return bool(found.update(dispatch_id=new.dispatch_id, dispatches=ONE_MORE, dispatched_at=None))


def start_runs(wanted: Collection[Dispatch], worker_id: str, now: datetime, until: datetime) -> list[HeldRun]:
    """Start runs on the worker `worker_id`, and return the started ones: each run starts at most once, on one worker.

    From `until` on, the end of the worker's lease, the database starts none: the statement may have been long on its
    way, and its worker would have given up the runs without calling a function.

    A delivery that is not the run's last one starts nothing, nor does one of a run that has started elsewhere, has
    ended, or is to be cancelled. Where the answer of an earlier call was lost, the worker may ask again, also for a run
    that is to be cancelled since: the worker holds it, so nobody else would end it. A run whose row somebody else has
    locked does not start now, and keeps no other from its start; `startable` tells which.
    """
    source, data = _as_table(wanted)
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
        return [_held(row, worker_id) for row in cursor.fetchall()]


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


def never_sent(dispatches: Collection[Dispatch]) -> list[Dispatch]:
    """Return the dispatches that this database never sent.

    A run's row keeps only its last dispatch id, so a run with several dispatches gets the benefit of the doubt.
    """
    runs = Run.objects.filter(pk__in={dispatch.run_id for dispatch in dispatches})
    rows = runs.values_list("id", "dispatch_id", "dispatches")
    sent = {run_id: (dispatch_id, number or 0) for run_id, dispatch_id, number in rows}
    found = ((dispatch, *sent.get(dispatch.run_id, ("", 0))) for dispatch in dispatches)
    return [dispatch for dispatch, dispatch_id, number in found if dispatch.dispatch_id != dispatch_id and number < 2]


def runs_of(worker_id: str) -> set[int]:
    """Return the ids of the runs that are running on the worker `worker_id` (index `run_held`)."""
    running = Run.objects.active().filter(scheduler_id=worker_id, status=RunStatus.RUNNING)
    return set(running.values_list("id", flat=True))


# For each claim there are two of these: as raw SQL they cost half.


def _alive(now: datetime) -> list[LivingWorker]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, queues, slots, ahead FROM cronzimus_worker WHERE stopped_at IS NULL AND lease_until > %s",
            [bulk.instant(now)],
        )
        rows = cursor.fetchall()
    return [LivingWorker(id_, frozenset(parse_stored(queues)), slots, ahead) for id_, queues, slots, ahead in rows]


def _taken(workers: Sequence[LivingWorker]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of runs that each worker has, and that are on their way in each queue (index `run_held`)."""
    holders = [DISPATCHED, *(worker.id for worker in workers)]
    running: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT scheduler_id, queue, count(*) FROM cronzimus_run WHERE status IN ({ACTIVE_SQL}) "  # noqa: S608
            f"AND scheduler_id IN ({', '.join(['%s'] * len(holders))}) GROUP BY scheduler_id, queue",
            holders,
        )
        rows = cursor.fetchall()
    for holder, queue, number in rows:
        if holder == DISPATCHED:
            waiting[queue] += number
        else:
            running[holder] += number
    return running, waiting


def _dispatched() -> QuerySet[Run]:
    return Run.objects.active().filter(scheduler_id=DISPATCHED, status=RunStatus.QUEUED)


def _held(row: Sequence[Any], holder: str = DISPATCHED) -> HeldRun:
    *columns, queue, dispatch_id = row
    return held_run(columns, holder)._replace(queue=queue, dispatch_id=dispatch_id)


def _as_table(dispatches: Iterable[Dispatch]) -> tuple[str, str]:
    rows = [{"id": dispatch.run_id, "dispatch_id": dispatch.dispatch_id} for dispatch in dispatches]
    return bulk.rows_as_table({"id": "number", "dispatch_id": "text"}, rows)
