"""Add ended runs to the statistics: each of them once, and before it is pruned.

Runs are taken in the order of their ids. A step adds those that have ended, and notes the others as uncounted, for a
later step. `prunable` keeps uncounted runs from the pruner. The statistics cost claims and outcomes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from ...core.runs import ACTIVE, FINISHED
from ...core.statistics import DELAYS, DURATIONS, added, bucket
from ...models import RollUp, Run, RunHour, RunTotal, Uncounted

BEHIND = timedelta(seconds=30)
"""A run is counted this long after it was first seen: no transaction that writes runs takes as long."""
MOST_RUNS = 20_000
"""Runs that one step takes."""
HOURS_KEPT = timedelta(days=100)
"""Time for which hours are kept, for charts."""
COLUMNS = ("job_id", "status", "scheduled_time", "started_at", "finished_at")


class Ended(NamedTuple):
    """The columns of an ended run that the statistics need."""

    job_id: str
    status: str
    scheduled_time: datetime
    started_at: datetime | None
    finished_at: datetime


class _Sum:
    """A sum of runs."""

    __slots__ = ("count", "delay_seconds", "delays", "durations", "last_at", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = self.delay_seconds = 0.0
        self.durations, self.delays = [0] * (len(DURATIONS) + 1), [0] * (len(DELAYS) + 1)
        self.last_at: datetime | None = None

    def add(self, run: Ended) -> None:
        self.count += 1
        if run.scheduled_time is None or run.finished_at is None:  # damaged, on SQLite
            return
        self.last_at = run.finished_at if self.last_at is None else max(self.last_at, run.finished_at)
        if run.started_at is not None:
            seconds = max((run.finished_at - run.started_at).total_seconds(), 0.0)
            delay = max((run.started_at - run.scheduled_time).total_seconds(), 0.0)
            self.seconds += seconds
            self.delay_seconds += delay
            self.durations[bucket(DURATIONS, seconds)] += 1
            self.delays[bucket(DELAYS, delay)] += 1


def roll_up(now: datetime) -> bool:
    """Add the next runs to the statistics; return whether there are more to add at once."""
    with transaction.atomic():
        row = _locked(now)
        if row is None:
            return False
        until = _until(row)
        passed = Run.objects.filter(pk__gt=row.counted, pk__lte=until)
        _add(passed.filter(status__in=FINISHED))
        active = passed.filter(status__in=ACTIVE).values_list("pk", flat=True)
        Uncounted.objects.bulk_create([Uncounted(run_id=pk) for pk in active], ignore_conflicts=True)
        _add_ended()
        RunHour.objects.filter(hour__lt=now - HOURS_KEPT).delete()
        row.counted = until
        has_more = until < row.seen
        if not has_more and now - row.seen_at >= BEHIND:
            row.seen, row.seen_at = Run.objects.aggregate(newest=Max("pk"))["newest"] or 0, now
        row.save()
    return has_more


def _until(row: RollUp) -> int:
    """Return the id of the last run that this step takes. Ids may have gaps of any size."""
    following = Run.objects.filter(pk__gt=row.counted, pk__lte=row.seen).order_by("pk").values_list("pk", flat=True)
    last = list(following[MOST_RUNS - 1 : MOST_RUNS])
    return last[0] if last else row.seen


def _locked(now: datetime) -> RollUp | None:
    """Return the locked row; None while another scheduler has it."""
    RollUp.objects.get_or_create(pk=1, defaults={"seen_at": now - BEHIND})
    skip = connection.features.has_select_for_update_skip_locked
    return RollUp.objects.select_for_update(skip_locked=skip).filter(pk=1).first()


def _add_ended() -> None:
    """Add the uncounted runs that have ended since; forget deleted ones."""
    waiting = Uncounted.objects.all()
    ended = Run.objects.filter(pk__in=waiting.values("run_id"), status__in=FINISHED)
    numbers = list(ended.values_list("pk", flat=True)[:MOST_RUNS])
    _add(Run.objects.filter(pk__in=numbers))
    Uncounted.objects.filter(run_id__in=numbers).delete()
    Uncounted.objects.filter(~Exists(Run.objects.filter(pk=OuterRef("run_id")))).delete()


def prunable(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs among `runs` that are in the statistics, or all if there are no statistics yet."""
    counted = RollUp.objects.values_list("counted", flat=True).first()
    if counted is None:
        return runs
    return runs.filter(pk__lte=counted).exclude(Exists(Uncounted.objects.filter(run_id=OuterRef("pk"))))


def _add(runs: QuerySet[Run]) -> None:
    add(Ended(*values) for values in runs.values_list(*COLUMNS).iterator(chunk_size=2000))


def add(runs: Iterable[Ended]) -> None:
    """Add runs to the totals and to their hours."""
    totals: dict[tuple[Any, ...], _Sum] = {}
    hours: dict[tuple[Any, ...], _Sum] = {}
    for run in runs:
        at = run.scheduled_time or run.finished_at
        if at is None:
            continue
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        totals.setdefault((run.job_id, run.status), _Sum()).add(run)
        hours.setdefault((run.job_id, hour, run.status), _Sum()).add(run)
    if totals:
        _save(RunTotal, ("job_id", "status"), totals, last=True)
        _save(RunHour, ("job_id", "hour", "status"), hours, last=False)


def _save(model: Any, names: tuple[str, ...], sums: dict[tuple[Any, ...], _Sum], *, last: bool) -> None:
    fields = ["count", "seconds", "durations", "delays", "delay_seconds", *(["last_at"] if last else [])]
    keys = sorted(sums)
    known = _known(model, names, keys)
    rows = []
    for key in keys:
        row, more = known.get(key) or model(**dict(zip(names, key, strict=True))), sums[key]
        row.count += more.count
        row.seconds += more.seconds
        row.delay_seconds += more.delay_seconds
        row.durations, row.delays = added(row.durations, more.durations), added(row.delays, more.delays)
        if last:
            row.last_at = more.last_at if row.last_at is None else max(row.last_at, more.last_at)
        rows.append(row)
    model.objects.bulk_create([row for row in rows if row.pk is None], batch_size=500)
    model.objects.bulk_update([row for row in rows if row.pk is not None], fields, batch_size=500)


def _known(model: Any, names: tuple[str, ...], keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], Any]:
    found: dict[tuple[Any, ...], Any] = {}
    job_ids = sorted({key[0] for key in keys})
    for start in range(0, len(job_ids), 500):
        rows = model.objects.filter(job_id__in=job_ids[start : start + 500])
        if "hour" in names:
            rows = rows.filter(hour__in={key[1] for key in keys})
        for row in rows:
            found[tuple(getattr(row, name) for name in names)] = row
    return found
