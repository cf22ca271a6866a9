"""The plans that the databases make, in tables that have grown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from jobs.core.runs import UNSCHEDULED, RunStatus, RunTrigger
from jobs.models import Job, Run, Scheduler
from jobs.scheduler.store.analysis import Analysis
from tests.fakes import NOW, after, make_job, make_run, make_scheduler

JOBS, RUNS = 10_000, 20_000
TABLES = (Run, Job, Scheduler)
WHOLE_TABLE = re.compile(r"(?:Seq Scan on|SCAN) (cronzimus_\w+|[UT]\d+|[a-z])(?: \w+)?(?:  \(.*)?$", re.MULTILINE)
"""A line of a plan, of PostgreSQL or of SQLite, by which a table is read from end to end. SQLite names its alias."""

# Long histories of ten jobs; one run of eleven is active, held by one of ninety-seven schedulers.
RUN_COLUMNS = {
    "id": "1000000 + n",
    "job_id": "'job-' || (n % 10)",
    "scheduler_id": "'other-' || (n % 97)",
    "status": "CASE WHEN n % 11 = 0 THEN 'running' ELSE 'succeeded' END",
    "finished_at": "CASE WHEN n % 11 = 0 THEN NULL ELSE t.finished_at END",
}


@pytest.fixture(scope="class")
def grown(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Ten thousand jobs, a few of them due; twenty thousand runs; and ANALYZE. A class of tests shares them."""
    with django_db_blocker.unblock(), large_tables(analysed=True):
        yield


@contextmanager
def large_tables(*, analysed: bool) -> Iterator[None]:
    """Fill the tables, and empty them at the end. Unless `analysed`, ANALYZE has seen only their first few rows.

    SQLite then has no statistics, because a scheduler deletes such outdated ones.
    """
    with _steady_statistics():
        _empty()
        if not analysed:
            _fill(jobs=10, runs=20)
            analyze()
            _empty()
        _fill()
        if analysed:
            analyze()
        else:
            connection.close()  # SQLite reads the statistics when it opens the file
            Analysis().forget()
        yield


@contextmanager
def _steady_statistics() -> Iterator[None]:
    """Let only the test analyse the tables within the context, and remove rows and statistics at its end."""
    _autovacuum("false")
    try:
        yield
    finally:
        _empty()
        _autovacuum("true")
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")
                cursor.execute("DROP TABLE IF EXISTS sqlite_stat4")


def _autovacuum(enabled: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in TABLES:
                cursor.execute(f"ALTER TABLE {model._meta.db_table} SET (autovacuum_enabled = {enabled})")


def _empty() -> None:
    """Remove all rows, and on PostgreSQL what tests before have left in the indexes: it makes other plans likely."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(model._meta.db_table for model in TABLES)} CASCADE")
        return
    for model in TABLES:
        model._base_manager.all()._raw_delete(connection.alias)


def _fill(jobs: int = JOBS, runs: int = RUNS) -> None:
    make_job("template", next_run_time=after(3600))
    # With an id of its own: SQLite counts on from the ids of removed rows, into those of the copies.
    make_run("template", id=1, status=RunStatus.SUCCEEDED, scheduler_id="s1")
    with connection.cursor() as cursor:
        cursor.execute(_multiplied(Job, jobs, id="'job-' || n"))
        moment = "'2029-12-01'::timestamptz + n * interval '1 second'"
        if connection.vendor == "sqlite":
            moment = "datetime('2029-12-01', '+' || n || ' seconds')"
        cursor.execute(_multiplied(Run, runs, scheduled_time=moment, **RUN_COLUMNS))
    make_job("due")
    for number in range(3):
        make_run("due", id=100_000 + number, scheduled_time=after(number), scheduler_id="s1")
    waiting = {"func": "tests:record", "status": RunStatus.QUEUED, "trigger": RunTrigger.MANUAL, "queued_at": NOW}
    Run.objects.bulk_create(
        Run(id=200_000 + n, job_id=f"job-{n % 10}", scheduled_time=after(n), **waiting) for n in range(500)
    )
    Run.objects.filter(id__range=(1_000_000, 1_000_200), status=RunStatus.SUCCEEDED).update(status=RunStatus.FAILED)
    for number, trigger in enumerate(UNSCHEDULED):
        some = Run.objects.filter(id__range=(1_001_000 + number, 1_001_200), status=RunStatus.SUCCEEDED)
        some.update(trigger=trigger)
    alive = make_scheduler("s1")
    fields = {field.attname: getattr(alive, field.attname) for field in Scheduler._meta.concrete_fields}
    Scheduler.objects.bulk_create(Scheduler(**{**fields, "id": f"other-{number}"}) for number in range(97))
    Scheduler.objects.bulk_create(Scheduler(**{**fields, "id": f"old-{n}", "stopped_at": NOW}) for n in range(50))


def analyze() -> None:
    """Run ANALYZE, and on PostgreSQL VACUUM."""
    with connection.cursor() as cursor:
        for model in TABLES if connection.vendor == "postgresql" and not connection.in_atomic_block else ():
            cursor.execute(f"VACUUM {model._meta.db_table}")
        cursor.execute("ANALYZE")


def _multiplied(model: Any, count: int, **changed: str) -> str:
    """Return the statement that copies the one row of `model` `count` times, with the columns `changed`."""
    columns = [field.column for field in model._meta.concrete_fields]
    selected = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return (
        f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) "  # noqa: S608
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {selected} FROM {model._meta.db_table} t, numbers"
    )


def plans(action: Callable[[], Any], about: str = "") -> list[str]:
    """Return the database's plan of each statement of `action` that names `about`."""
    found: list[str] = []
    sqlite = connection.vendor == "sqlite"

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split()[0] in ("SELECT", "UPDATE", "WITH", "DELETE", "INSERT") and about in sql:
            # With the driver's own cursor: the explanation is not explained again.
            cursor = connection.connection.cursor()
            explained = "EXPLAIN QUERY PLAN " + sql.replace("%s", "?") if sqlite else "EXPLAIN " + sql
            cursor.execute(explained, params or ())
            found.append("\n".join(row[-1] for row in cursor.fetchall()))
            cursor.close()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        action()
    return found


def plan(action: Callable[[], Any]) -> str:
    """Return the plans of all the statements of `action`."""
    return "\n".join(plans(action))


def as_the_loop_asks() -> None:
    """Make this connection plan like the loop's own, until the transaction ends (`store.connection`)."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")


def assert_reads(text: str, *indexes: str, small: tuple[str, ...] = ()) -> None:
    """Check that `text`, a plan, reads each of `indexes`, and no table but the `small` ones from end to end."""
    for index in indexes:
        assert f"cronzimus_{index}" in text, text
    assert set(WHOLE_TABLE.findall(text)) <= {f"cronzimus_{name}" for name in small}, text


def assert_reads_one_of(text: str, *indexes: str, small: tuple[str, ...] = ()) -> None:
    """Check that `text`, a plan, reads one of `indexes`, and no table but the `small` ones from end to end."""
    assert any(f"cronzimus_{index}" in text for index in indexes), text
    assert_reads(text, small=small)


def assert_unsorted(text: str) -> None:
    """Check that `text`, a plan, sorts no rows."""
    assert "Sort" not in text, text
    assert "TEMP B-TREE" not in text, text
