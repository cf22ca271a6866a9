"""Add ended runs to the statistics: each of them once, and before it is pruned.

Runs are taken in the order of their ids. A step adds those that have ended, and notes the others as uncounted, for a
later step. `prunable` keeps uncounted runs from the pruner. The statistics cost claims and outcomes nothing.

The database adds up: the number of statements of a step depends neither on its runs nor on their jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from ...core.runs import ACTIVE, FINISHED
from ...core.statistics import DELAYS, DURATIONS, added
from ...models import Job, RollUp, Run, RunHour, RunTotal, SiteHour, SiteTotal, Uncounted
from ...models.run import RunQuerySet
from .bulk import from_time

BEHIND = timedelta(seconds=30)
"""A run is counted this long after it was first seen: no transaction that writes runs takes as long."""
MOST_RUNS = 5000
"""Runs that one step takes: on SQLite, every other writer waits for it."""
HOURS_KEPT = timedelta(days=100)
"""Time for which hours are kept, for charts, and the totals of removed jobs."""
COLUMNS = ("job_id", "status", "fire_times", "scheduled_time", "started_at", "finished_at")


def roll_up(now: datetime) -> bool:
    """Add the next runs to the statistics; return whether there are more to add at once."""
    with transaction.atomic():
        row = _locked(now)
        if row is None:
            return False
        until = _until(row)
        passed = Run.objects.filter(pk__gt=row.counted, pk__lte=until)
        add(passed.filter(status__in=FINISHED))
        active = passed.filter(status__in=ACTIVE).values_list("pk", flat=True)
        Uncounted.objects.bulk_create([Uncounted(run_id=pk) for pk in active], ignore_conflicts=True)
        _add_ended()
        _forget(now - HOURS_KEPT)
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
    return RollUp.objects.select_for_update(skip_locked=True).filter(pk=1).first()


def _add_ended() -> None:
    """Add the uncounted runs that have ended since; forget deleted ones."""
    waiting = Uncounted.objects.all()
    ended = Run.objects.filter(pk__in=waiting.values("run_id"), status__in=FINISHED)
    numbers = list(ended.values_list("pk", flat=True)[:MOST_RUNS])
    if numbers:
        add(Run.objects.filter(pk__in=numbers))
        Uncounted.objects.filter(run_id__in=numbers).delete()
    Uncounted.objects.filter(~Exists(Run.objects.filter(pk=OuterRef("run_id")))).delete()


def _forget(before: datetime) -> None:
    """Delete the hours before an instant. If there were any, delete the totals of jobs that were removed before it."""
    SiteHour.objects.filter(hour__lt=before).delete()
    deleted, _ = RunHour.objects.filter(hour__lt=before).delete()
    if deleted:
        exists = Exists(Job.objects.filter(pk=OuterRef("job_id")))
        RunTotal.objects.filter(~exists, last_at__lt=before).delete()


def prunable(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs among `runs` that are in the statistics, or all if there are no statistics yet."""
    counted = RollUp.objects.values_list("counted", flat=True).first()
    if counted is None:
        return runs
    return runs.filter(pk__lte=counted).exclude(Exists(Uncounted.objects.filter(run_id=OuterRef("pk"))))


def add(runs: RunQuerySet) -> None:
    """Add `runs`, which have ended, to the totals and to their hours; no test runs. Call it in a transaction."""
    sql, params = runs.without_tests().order_by().values_list(*COLUMNS).query.sql_with_params()
    ended = _ENDED[connection.vendor].format(runs=sql)
    with connection.cursor() as cursor:
        for statement in (TOTALS_SQL, HOURS_SQL):
            cursor.execute(statement.format(ended=ended), params)
        cursor.execute(SITE_SQL.format(ended=ended), params)
        rows = cursor.fetchall()
    _add_to_site(map(_sums, rows))


# --- all jobs --------------------------------------------------------------------------------------------------------

Row = tuple[Any, ...]
"""The hour and the status of runs, and their sums."""
SUMS = ("count", "fire_times", "seconds", "delay_seconds", "durations", "delays")
"""The columns that are added up."""


def _add_to_site(rows: Iterable[Row]) -> None:
    hours: dict[Row, Any] = {}
    totals: dict[Row, Any] = {}
    for hour, status, *sums in rows:
        _add_sums(hours.setdefault((hour, status), SiteHour(hour=hour, status=status)), sums)
        _add_sums(totals.setdefault((status,), SiteTotal(status=status)), sums)
    _save(SiteHour.objects.filter(hour__in={hour for hour, _ in hours}), ("hour", "status"), hours)
    _save(SiteTotal.objects.all(), ("status",), totals)


def _save(known: QuerySet[Any], names: tuple[str, ...], found: dict[Row, Any]) -> None:
    """Add the `known` rows to the `found` ones with the same `names`, and write these."""
    for row in known.values_list(*names, *SUMS):
        key, sums = row[: len(names)], row[len(names) :]
        if key in found:
            _add_sums(found[key], sums)
    known.model._base_manager.bulk_create(
        found.values(), update_conflicts=True, unique_fields=names, update_fields=SUMS, batch_size=500
    )


def _add_sums(one: Any, sums: Sequence[Any]) -> None:
    for name, more in zip(SUMS, sums, strict=True):
        now = getattr(one, name)
        setattr(one, name, added(now, more) if isinstance(now, list) else now + more)


def _sums(row: Row) -> Row:
    """Return a row of `SITE_SQL`, which has the numbers of runs below each bound, with its histograms."""
    hour, status, count, fire_times, started, seconds, late, *below = row
    durations, delays = below[: len(DURATIONS)], below[len(DURATIONS) :]
    histograms = ([upper - lower for lower, upper in pairwise((0, *part, started))] for part in (durations, delays))
    return from_time(hour), status, count, fire_times, seconds, late, *histograms


# --- SQL -------------------------------------------------------------------------------------------------------------

# Of each run its hour, its duration and its delay. A clock that was set back between two instants makes neither
# negative. A damaged row of SQLite may have any value for an instant; an invalid one is null here.
_INSTANT = "CASE WHEN {0} GLOB '[1-9][0-9][0-9][0-9]-*' THEN {0} END AS {0}"
_BETWEEN = "(unixepoch({1}) - unixepoch({0}) + substr({1}, 20) - substr({0}, 20))"
_ENDED = {
    "sqlite": (
        "SELECT job_id, status, fire_times, finished_at, "  # noqa: S608 (names of ours)
        "strftime('%%Y-%%m-%%d %%H:00:00', COALESCE(scheduled_time, finished_at)) AS hour, "
        f"{_BETWEEN.format('started_at', 'finished_at')} AS took, "
        f"{_BETWEEN.format('scheduled_time', 'started_at')} AS late FROM (SELECT job_id, status, fire_times, "
        f"{', '.join(_INSTANT.format(name) for name in ('scheduled_time', 'started_at', 'finished_at'))} "
        "FROM ({runs}) AS runs) AS runs WHERE hour IS NOT NULL"
    ),
    "postgresql": (
        "SELECT job_id, status, fire_times, finished_at, date_trunc('hour', scheduled_time, 'UTC') AS hour, "
        "EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS took, "
        "EXTRACT(EPOCH FROM started_at - scheduled_time)::float8 AS late FROM ({runs}) AS runs"
    ),
}
TOTALS_SQL = (
    "INSERT INTO cronzimus_runtotal AS old (job_id, status, count, last_at) "
    "SELECT job_id, status, COUNT(*), MAX(finished_at) FROM ({ended}) AS ended WHERE true GROUP BY job_id, status "
    "ON CONFLICT (job_id, status) DO UPDATE SET count = old.count + excluded.count, "
    "last_at = CASE WHEN old.last_at > excluded.last_at THEN old.last_at "
    "ELSE COALESCE(excluded.last_at, old.last_at) END"
)
HOURS_SQL = (
    "INSERT INTO cronzimus_runhour AS old (job_id, hour, status, count) "
    "SELECT job_id, hour, status, COUNT(*) FROM ({ended}) AS ended WHERE true GROUP BY job_id, hour, status "
    "ON CONFLICT (job_id, hour, status) DO UPDATE SET count = old.count + excluded.count"
)
# Materialized: SQLite would compute each run's spans again for each bucket.
SITE_SQL = (
    "WITH ended AS MATERIALIZED (SELECT hour, status, fire_times, CASE WHEN took < 0 THEN 0 ELSE took END AS took, "  # noqa: S608 (numbers of ours)
    "CASE WHEN late < 0 THEN 0 ELSE late END AS late FROM ({ended}) AS ended) "
    "SELECT hour, status, COUNT(*), SUM(fire_times), COUNT(took), COALESCE(SUM(took), 0), COALESCE(SUM(late), 0)"
    + "".join(f", COUNT(*) FILTER (WHERE took <= {bound})" for bound in DURATIONS)
    + "".join(f", COUNT(*) FILTER (WHERE late <= {bound})" for bound in DELAYS)
    + " FROM ended GROUP BY hour, status"
)
