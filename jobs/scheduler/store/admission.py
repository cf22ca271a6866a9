"""Take runs that wait for a scheduler: asked for by people, tried again, given back, or waiting for their turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Count

from ...core.runs import RunStatus
from ...models import Job, Run
from . import bulk
from .held import ACTIVE_SQL, HELD, HeldRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is to do: when a job is due, and one that goes by its priority; since when a run may start;
    whether a run is to be cancelled, whether all is paused, and how many other schedulers there are."""

    due_at: datetime | None
    prioritised_at: datetime | None
    waiting_at: datetime | None
    cancellations: bool
    paused: bool
    others: int

    def is_due(self, now: datetime) -> bool:
        """Tell whether there is anything to start at `now`."""
        return self.is_waiting(now) or (self.due_at is not None and self.due_at <= now)

    def goes_by_priority(self, now: datetime) -> bool:
        """Tell whether a job is due at `now` that goes before others, or after them."""
        return self.prioritised_at is not None and self.prioritised_at <= now

    def is_waiting(self, now: datetime) -> bool:
        """Tell whether a run waits that may start at `now`, as far as its time goes."""
        return self.waiting_at is not None and self.waiting_at <= now


class Candidate(NamedTuple):
    """A run that waits, and what bounds it. Its job may have been removed: nothing bounds it then."""

    id: int
    job_id: str
    executor: str
    group: str
    max_instances: int | None
    group_limit: int | None


def look(scheduler_id: str) -> Look:
    """Return what there is to do: one statement, a few index look-ups."""
    with connection.cursor() as cursor:
        cursor.execute(_look_sql(connection.vendor), [scheduler_id, scheduler_id])
        *instants, cancellations, paused, others = cursor.fetchone()
    due_at, prioritised_at, waiting_at = (_instant(at) for at in instants)
    return Look(
        due_at=due_at, prioritised_at=prioritised_at, waiting_at=waiting_at,
        cancellations=bool(cancellations), paused=bool(paused), others=others,
    )  # fmt: skip


@cache
def _look_sql(vendor: str) -> str:
    # As text on SQLite: Django would make None of one that is damaged, and the loop would see nothing due behind it.
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
    except ValueError:
        # SQLite keeps any text, and this one comes before all instants: the claim will see to it.
        return datetime.min.replace(tzinfo=UTC)


def admit(scheduler_id: str, rooms: Mapping[str, int], now: datetime) -> list[HeldRun]:
    """Take runs that wait and may start at `now`: as many as `rooms` has for each executor.

    No job gets more than `max_instances` active runs, and no group more than its limit, over all schedulers: the rows
    of the jobs are locked, and so are the groups, while they are counted.
    """
    with transaction.atomic(savepoint=False):
        waiting = _candidates(rooms, now)
        if not waiting:
            return []
        waiting = _lockable(waiting)
        chosen = choose(waiting, rooms, by_job=_held_by_job(waiting), by_group=_held_by_group(waiting))
        return _take(scheduler_id, chosen)


def choose(
    waiting: Sequence[Candidate], rooms: Mapping[str, int], *, by_job: Mapping[str, int], by_group: Mapping[str, int]
) -> list[int]:
    """Return the ids of the runs of `waiting`, in their order, that may start together with those that are active."""
    left, jobs, groups = dict(rooms), Counter(by_job), Counter(by_group)
    chosen = []
    for run in waiting:
        full = run.max_instances is not None and jobs[run.job_id] >= run.max_instances
        crowded = bool(run.group) and run.group_limit is not None and groups[run.group] >= run.group_limit
        if full or crowded or left.get(run.executor, 0) <= 0:
            continue
        chosen.append(run.id)
        left[run.executor] -= 1
        jobs[run.job_id] += 1
        groups[run.group] += bool(run.group)
    return chosen


def awaited(scheduler_id: str) -> set[int]:
    """Return the ids of the runs of `scheduler_id` for whose end others may wait: of their job, or of any group."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT a.id FROM cronzimus_run a WHERE a.scheduler_id = %s AND a.status IN ({ACTIVE_SQL}) "  # noqa: S608
            "AND (NOT (a.concurrency_group = '') OR EXISTS (SELECT 1 FROM cronzimus_run w WHERE w.job_id = a.job_id "
            f"AND w.status IN ({ACTIVE_SQL}) AND w.scheduler_id IS NULL))",
            [scheduler_id],
        )
        return {run_id for (run_id,) in cursor.fetchall()}


def give_back(scheduler_id: str, run_ids: Sequence[int], now: datetime) -> None:
    """Let any scheduler have runs that `scheduler_id` holds and did not start; those that are to be cancelled end."""
    runs = Run.objects.filter(id__in=run_ids, scheduler_id=scheduler_id, status=RunStatus.QUEUED)
    # In this order: one that somebody cancels in between is among the waiting then, and ended by who cancels it.
    runs.filter(cancel_requested_at__isnull=True).update(scheduler=None)
    runs.filter(cancel_requested_at__isnull=False).update(status=RunStatus.CANCELLED, finished_at=now)


def held(scheduler_id: str) -> set[int]:
    """Return the ids of the runs that `scheduler_id` holds and that are not on record as started."""
    queued = Run.objects.active().filter(scheduler_id=scheduler_id, status=RunStatus.QUEUED)
    return set(queued.values_list("id", flat=True))


def _candidates(rooms: Mapping[str, int], now: datetime) -> list[Candidate]:
    wanted = [executor for executor, room in rooms.items() if room > 0]
    marks = ", ".join(["%s"] * len(wanted))
    lock = "FOR UPDATE OF r SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.job_id, r.executor, r.concurrency_group, j.max_instances, j.concurrency_limit "  # noqa: S608
            "FROM cronzimus_run r LEFT JOIN cronzimus_job j ON j.id = r.job_id "
            f"WHERE r.status = 'queued' AND r.scheduler_id IS NULL AND r.executor IN ({marks}) "
            "AND (r.available_at IS NULL OR r.available_at <= %s) "
            # The full jobs are found once, among the few runs that are held: thousands may wait for one of them.
            "AND r.job_id NOT IN (SELECT f.id FROM cronzimus_run a JOIN cronzimus_job f ON f.id = a.job_id "
            f"WHERE a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL "
            "GROUP BY f.id HAVING count(*) >= f.max_instances) "
            # A full group at the front of the queue must not hide what is behind it.
            "AND (r.concurrency_group = '' OR j.id IS NULL OR j.concurrency_limit > "
            f"(SELECT count(*) FROM cronzimus_run a WHERE a.status IN ({ACTIVE_SQL}) AND a.scheduler_id IS NOT NULL "
            "AND NOT (a.concurrency_group = '') AND a.concurrency_group = r.concurrency_group)) "
            f"ORDER BY r.priority DESC, r.id LIMIT %s {lock}",
            [*wanted, bulk.instant(now), 2 * sum(rooms.values())],
        )
        return [Candidate(*row) for row in cursor.fetchall()]


def _lockable(waiting: Sequence[Candidate]) -> list[Candidate]:
    """Return those whose job and whose group nobody else is counting, and lock both. SQLite's transaction is a lock."""
    if connection.vendor != "postgresql":
        return list(waiting)
    jobs = {run.job_id for run in waiting if run.max_instances is not None}
    locked = set(Job.objects.select_for_update(skip_locked=True).filter(id__in=jobs).values_list("id", flat=True))
    groups = sorted({run.group for run in waiting if run.group})
    free = {""}
    if groups:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM unnest(%s::text[]) AS name "
                "WHERE pg_try_advisory_xact_lock(hashtext('cronzimus ' || name))",
                [groups],
            )
            free |= {name for (name,) in cursor.fetchall()}
    return [run for run in waiting if (run.max_instances is None or run.job_id in locked) and run.group in free]


def _held_by_job(waiting: Sequence[Candidate]) -> dict[str, int]:
    held = Run.objects.active().filter(scheduler__isnull=False, job_id__in={run.job_id for run in waiting})
    return dict(held.values_list("job_id").annotate(held=Count("id")).order_by())


def _held_by_group(waiting: Sequence[Candidate]) -> dict[str, int]:
    groups = {run.group for run in waiting if run.group}
    if not groups:
        return {}
    held = Run.objects.active().filter(scheduler__isnull=False, concurrency_group__in=groups)
    return dict(held.values_list("concurrency_group").annotate(held=Count("id")).order_by())


def _take(scheduler_id: str, run_ids: Sequence[int]) -> list[HeldRun]:
    if not run_ids:
        return []
    source, data = bulk.rows_as_table({"id": "number"}, [{"id": run_id} for run_id in run_ids])
    columns = ", ".join(f"cronzimus_run.{name}" for name in HELD.split(", "))
    order = {run_id: place for place, run_id in enumerate(run_ids)}
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE cronzimus_run SET scheduler_id = %s FROM {source} WHERE cronzimus_run.id = v.id "  # noqa: S608
            f"AND cronzimus_run.status = 'queued' AND scheduler_id IS NULL RETURNING {columns}",
            [scheduler_id, data],
        )
        return sorted((HeldRun.of(row, scheduler_id) for row in cursor.fetchall()), key=lambda run: order[run.id])
