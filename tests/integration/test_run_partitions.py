"""The table of runs with partitions: what docs/scale.md does to it, and what holds on it as before."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from jobs.core.held import HeldRun, Outcome
from jobs.core.runs import RunStatus
from jobs.models import Job, RollUp, Run
from jobs.scheduler.store import claims, outcomes, retention
from jobs.selectors import about
from tests.conftest import PARTITIONED
from tests.fakes import NOW, after, make_job, make_run
from tests.partitions import DAY, partition_runs

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("postgresql_only")]

COLUMNS = (
    "SELECT attname, attcompression FROM pg_attribute WHERE attrelid = 'cronzimus_run'::regclass AND attnum > 0 "
    "ORDER BY attnum"
)


@pytest.fixture
def partitions(postgresql_only: None, db: None) -> None:
    """Partitions for the day before `NOW`, its day, and the next one, beside that of all earlier ones."""
    if not PARTITIONED:
        partition_runs(NOW)


def claim(scheduler: str = "s1") -> list[HeldRun]:
    return claims.claim_due(scheduler, {"thread": 100}, NOW).runs


def ended(run: HeldRun, status: RunStatus) -> Outcome:
    return Outcome(run.id, run.job_id, run.executor, status, NOW, after(1), run.scheduled_time)


def places() -> list[str]:
    """Return the partitions of all runs, the oldest run first."""
    return [name for (name,) in rows("SELECT tableoid::regclass::text FROM cronzimus_run ORDER BY id")]


def rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def drop(name: str) -> bool:
    ((is_dropped,),) = rows(f"SELECT cronzimus_drop_run_partition('{name}')")
    return bool(is_dropped)


# --- the change ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(PARTITIONED, reason="the table has partitions already")
def test_the_table_keeps_its_columns_indexes_and_constraints_with_their_names() -> None:
    def shape() -> Any:
        with connection.cursor() as cursor:
            named = connection.introspection.get_constraints(cursor, "cronzimus_run")
        kept = {name: facts for name, facts in named.items() if not facts["primary_key"]}
        return rows(COLUMNS), {name: (facts["columns"], facts["unique"]) for name, facts in kept.items()}

    before = shape()
    partition_runs(NOW)
    assert shape() == before


@pytest.mark.skipif(PARTITIONED, reason="the table has partitions already")
def test_runs_stay_and_their_ids_go_on() -> None:
    old = make_run(scheduled_time=after(-5 * 86400))
    partition_runs(NOW)
    new = make_run()
    assert Run.objects.get(pk=old.pk).scheduled_time == old.scheduled_time
    assert new.pk > old.pk
    assert places() == ["cronzimus_run_first", "cronzimus_run_20300101t0000"]


@pytest.mark.skipif(PARTITIONED, reason="the table has partitions already")
@pytest.mark.parametrize("largest", [-5, 0], ids=["the first partition", "a later one"])
def test_the_way_back_leads_to_the_same_table_with_all_runs(largest: int) -> None:
    def shape() -> Any:
        kind = "SELECT relkind, relowner::regrole::text FROM pg_class WHERE oid = 'cronzimus_run'::regclass"
        indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'cronzimus_run' ORDER BY 1"
        constraints = (
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'cronzimus_run'::regclass "
            "ORDER BY 1"
        )
        facts = "attname, atttypid, attnotnull, attidentity, atthasdef"
        columns = COLUMNS.replace("attname,", f"{facts},")
        # A partition's index has the type of each value of an array where the table's has the type of the array.
        casts = r"::text(\[\])?|[()]"
        found = [(name, re.sub(casts, "", definition)) for name, definition in rows(indexes)]
        return [found, *(rows(sql) for sql in (kind, constraints, columns))]

    before = shape()
    partition_runs(NOW)
    kept = [make_run(scheduled_time=NOW + days * DAY) for days in (-5, -1, 0, 1, 9)]
    long, number = {"long": "x" * 1500}, 100 if largest else 200  # the first partition keeps the size of earlier tests
    kept += [
        make_run(scheduled_time=NOW + largest * DAY + timedelta(seconds=n + 1), kwargs=long) for n in range(number)
    ]
    rows("SELECT 1 FROM cronzimus_unpartition_runs()")
    assert shape() == before
    assert list(Run.objects.order_by("pk")) == kept
    assert make_run(scheduled_time=after(-1)).pk > kept[-1].pk
    assert (
        rows("SELECT relname FROM pg_class WHERE relname LIKE 'cronzimus_run_2%' OR relname ~ '_(rest|first)$'") == []
    )
    partition_runs(NOW + 30 * DAY)
    assert Run.objects.count() == len(kept) + 1


@pytest.mark.skipif(PARTITIONED, reason="the table has partitions already")
def test_nothing_is_changed_unless_the_bound_has_been_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import partitions

    statements = {"make the functions": partitions.partitioning(NOW)["make the functions"]}
    statements["switch"] = "SELECT cronzimus_partition_runs('2029-12-31')"
    monkeypatch.setattr(partitions, "partitioning", lambda until: statements)
    with pytest.raises(DatabaseError, match="add the constraint cronzimus_run_before first"), transaction.atomic():
        partition_runs(NOW)


def test_a_run_without_a_partition_is_kept_and_moved_when_there_is_one(partitions: None) -> None:
    run = make_run(scheduled_time=NOW + 5 * DAY)
    assert places() == ["cronzimus_run_rest"]
    rows("SELECT cronzimus_add_run_partition('2030-01-06', '2030-01-07')")
    assert places() == ["cronzimus_run_20300106t0000"]
    assert Run.objects.get() == run


# --- what holds as before --------------------------------------------------------------------------------------------


def test_a_fire_time_is_claimed_once(partitions: None) -> None:
    job = make_job()
    (run,) = claim()
    Job.objects.update(next_run_time=job.next_run_time)
    assert claim("s2") == []
    assert [found.pk for found in Run.objects.all()] == [run.id]


def test_outcomes_are_recorded_and_failures_tried_again(partitions: None) -> None:
    make_job(retries={"max": 1, "delay": 1, "backoff": 1})
    (run,) = claim()
    assert outcomes.write_outcomes([ended(run, RunStatus.FAILED)], "s1", after(1)).outcomes
    assert list(Run.objects.order_by("id").values_list("status", "attempt")) == [("failed", 1), ("queued", 2)]


def test_old_runs_are_pruned(partitions: None) -> None:
    job = make_job(keep_days=1)
    make_run(scheduled_time=NOW - 2 * DAY, status=RunStatus.SUCCEEDED)
    make_run(status=RunStatus.SUCCEEDED)
    assert retention.prune_job(job, NOW).deleted == 1
    assert places() == ["cronzimus_run_20300101t0000"]


# --- old partitions --------------------------------------------------------------------------------------------------


def test_a_partition_with_an_active_run_stays(partitions: None) -> None:
    make_run(scheduled_time=NOW - DAY)
    assert not drop("cronzimus_run_20291231t0000")


def test_a_partition_with_a_run_that_the_statistics_do_not_have_stays(partitions: None) -> None:
    run = make_run(scheduled_time=NOW - DAY, status=RunStatus.SUCCEEDED)
    row = RollUp.objects.create(pk=1, counted=run.pk - 1, seen_at=NOW)
    assert not drop("cronzimus_run_20291231t0000")
    row.counted = run.pk
    row.save()
    assert drop("cronzimus_run_20291231t0000")
    assert not Run.objects.exists()


def test_the_number_of_runs_is_estimated_from_the_partitions(partitions: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "MAX_COUNTED", 1)
    for day in range(-1, 2):
        make_run(scheduled_time=NOW + day * DAY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE cronzimus_run")  # with all its partitions
    assert about.sizes().runs == 3
