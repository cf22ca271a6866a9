"""Whether there is work for a scheduler, and which."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from django.db import connection
from django.db.models import Q

from ...core.runs import Executor, queue_of_lane
from ...models import Job, Run
from . import bulk
from .held import ACTIVE_SQL


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWork:
    """The work to do, now or later.

    `due_at` is the next fire time of all jobs, `prioritised_at` that of the jobs with a priority, and `waiting_at` the
    instant at which the next waiting run may start; None for none. `has_cancellations` tells whether a run of this
    scheduler is to be cancelled, and `paused` whether all jobs are paused. `others` is the number of other schedulers.
    """

    due_at: datetime | None
    prioritised_at: datetime | None
    waiting_at: datetime | None
    has_cancellations: bool
    paused: bool
    others: int

    def is_due(self, now: datetime) -> bool:
        """Tell whether a job is due at `now`."""
        return self.due_at is not None and self.due_at <= now

    def is_prioritised(self, now: datetime) -> bool:
        """Tell whether a job is due at `now` that has a priority above or below the others."""
        return self.prioritised_at is not None and self.prioritised_at <= now

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether a waiting run may start at `now`."""
        return self.waiting_at is not None and self.waiting_at <= now


def pending_work(holder: str) -> PendingWork:
    """Return the work for `holder`, in one statement of a few index look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(_pending_sql(connection.vendor), [holder, holder])
        *instants, has_cancellations, paused, others = cursor.fetchone()
    due_at, prioritised_at, waiting_at = (_instant(at) for at in instants)
    return PendingWork(
        due_at=due_at, prioritised_at=prioritised_at, waiting_at=waiting_at,
        has_cancellations=bool(has_cancellations), paused=bool(paused), others=others,
    )  # fmt: skip


def cancel_requests(holder: str) -> list[tuple[int, str, str]]:
    """Return id, executor and reason of the active runs of `holder` that are to be cancelled."""
    requested = Run.objects.active().filter(scheduler_id=holder, cancel_requested_at__isnull=False)
    return list(requested.values_list("id", "executor", "reason"))


def has_work_in_reach(horizon: datetime, now: datetime, lanes: Collection[str]) -> bool:
    """Tell whether one of `lanes` has a job that is due at `horizon`, or a waiting run that may start at `now`.

    Jobs and runs of other lanes wait for a worker.
    """
    in_reach = ~Q(executor=Executor.CELERY) | Q(queue__in=[queue_of_lane(lane) for lane in lanes])
    may_start = Q(available_at__isnull=True) | Q(available_at__lte=now)
    return (
        Job.objects.due(horizon).filter(in_reach).exists() or Run.objects.waiting().filter(in_reach, may_start).exists()
    )


@cache
def _pending_sql(vendor: str) -> str:
    # As text on SQLite: Django reads a damaged instant as None, which would hide the jobs that are due after it.
    next_run_time = bulk.as_text("next_run_time") if vendor == "sqlite" else "next_run_time"
    return (
        f"SELECT (SELECT {next_run_time} FROM cronzimus_job WHERE next_run_time IS NOT NULL "  # noqa: S608
        "ORDER BY next_run_time LIMIT 1), "
        f"(SELECT {next_run_time} FROM cronzimus_job WHERE next_run_time IS NOT NULL AND NOT (priority = 0) "
        "ORDER BY next_run_time LIMIT 1), "
        "(SELECT COALESCE(available_at, queued_at) FROM cronzimus_run WHERE status = 'queued' AND scheduler_id IS NULL "
        "ORDER BY COALESCE(available_at, queued_at) LIMIT 1), "
        f"EXISTS (SELECT 1 FROM cronzimus_run WHERE scheduler_id = %s AND status IN ({ACTIVE_SQL}) "
        "AND cancel_requested_at IS NOT NULL), "
        "EXISTS (SELECT 1 FROM cronzimus_control WHERE paused), "
        "(SELECT count(*) FROM cronzimus_scheduler WHERE stopped_at IS NULL AND id <> %s)"
    )


def _instant(value: object) -> datetime | None:
    try:
        return None if value is None else bulk.from_time(value)
    except (TypeError, ValueError):
        # A damaged instant sorts before all others, so that the claim repairs its row.
        return datetime.min.replace(tzinfo=UTC)
