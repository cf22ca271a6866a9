"""Living workers: how many runs their queues may be given.

Each claim reads both tables, with raw SQL, which costs half of what the ORM costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from ...core.capacity import Capacity
from ...core.json import parse_stored
from ...core.runs import DISPATCHED, Executor, lane_of
from . import bulk
from .held import ACTIVE_SQL


class LivingWorker(NamedTuple):
    """A living worker: the queues that it serves, its slots, and the further runs that it wants in them."""

    id: str
    queues: frozenset[str]
    slots: int
    ahead: int


def queue_capacity(now: datetime) -> Capacity:
    """Return the number of runs that each queue with a living worker may be given, by its lane.

    Schedulers that ask at the same moment get the same number, and may each send as many. Queues share workers, so only
    one lock for all claims of runs for workers could keep them apart, and a scheduler would wait for the others.
    """
    workers = _alive(now)
    return free_places(workers, *_taken(workers)) if workers else Capacity({})


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


def open_queues(now: datetime) -> set[str]:
    """Return the queues of the living workers that have a free slot."""
    workers = _alive(now)
    running, _ = _taken(workers)
    return {name for worker in workers if worker.slots > running.get(worker.id, 0) for name in worker.queues}


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
