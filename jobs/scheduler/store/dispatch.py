"""The way of runs to workers: they are dispatched, published, and sent again if their message seems to be lost.

A run that is dispatched is held by nobody (`DISPATCHED`): its row is the outbox. Whoever finds it unpublished publishes
it. It has the id of the one delivery that may start it, so that a message that comes twice starts nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Least

from ...core.dispatches import COUNTS_AS_LOST_AFTER, COUNTS_AS_LOST_AT_LATEST, counts_as_lost_after, new_dispatch_id
from ...core.held import HeldRun
from ...core.runs import DISPATCHED, Executor, RunStatus
from ...models import Run
from ...models.scheduler import FARTHEST
from . import bulk
from .held import ACTIVE_SQL, DISPATCHED_COLUMNS_SQL, dispatched_run
from .workers import open_queues

logger = logging.getLogger("cronzimus.scheduler.store.dispatch")

MAX_LOOKED_AT = 1000
"""Dispatched runs that one search for lost messages reads."""
MAX_DISPATCHES = 32_767
"""The largest number that the column `dispatches` holds. A run that is sent more often keeps it."""
DISPATCH_COLUMNS = ("id", "queue", "dispatch_id", "traceparent")
ONE_MORE = Least(F("dispatches"), MAX_DISPATCHES - 1) + 1
THIS_DISPATCH_SQL = "cronzimus_run.dispatch_id = v.dispatch_id"


class Dispatch(NamedTuple):
    """A delivery of a run to a worker: the run, the queue, and the id without which it starts nothing.

    `traceparent` is the run's; "" for none.
    """

    run_id: int
    queue: str
    dispatch_id: str
    traceparent: str = ""


class Survey(NamedTuple):
    """Whether runs are on their way to workers, and whether there may be runs of dead workers."""

    on_their_way: bool
    dead: bool


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
        taken = {run.id: run for run in (dispatched_run(row, DISPATCHED) for row in cursor.fetchall())}
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
    source, data = dispatches_as_table(dispatches)
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
    # The database picks the queues: the late runs of a full one must not use up the limit.
    lost = late.filter(_counts_as_lost(now), queue__in=open_queues(now)).order_by("id")
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


def never_sent(dispatches: Collection[Dispatch]) -> list[Dispatch]:
    """Return the dispatches that this database never sent.

    A run's row keeps only its last dispatch id, so a run with several dispatches gets the benefit of the doubt.
    """
    runs = Run.objects.filter(pk__in={dispatch.run_id for dispatch in dispatches})
    rows = runs.values_list("id", "dispatch_id", "dispatches")
    sent = {run_id: (dispatch_id, number or 0) for run_id, dispatch_id, number in rows}
    found = ((dispatch, *sent.get(dispatch.run_id, ("", 0))) for dispatch in dispatches)
    return [dispatch for dispatch, dispatch_id, number in found if dispatch.dispatch_id != dispatch_id and number < 2]


def dispatches_as_table(dispatches: Iterable[Dispatch]) -> tuple[str, str]:
    """Return SQL for a table `v` of the run and the `dispatch_id` of each of `dispatches`, and its parameter."""
    rows = [{"id": dispatch.run_id, "dispatch_id": dispatch.dispatch_id} for dispatch in dispatches]
    return bulk.rows_as_table({"id": "number", "dispatch_id": "text"}, rows)


def _dispatched() -> QuerySet[Run]:
    return Run.objects.active().filter(scheduler_id=DISPATCHED, status=RunStatus.QUEUED)


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
