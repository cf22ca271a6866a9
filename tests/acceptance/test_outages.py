"""The database fails under the schedulers, and comes back: they go on, and every fire time is accounted for."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.waiting import let_pass, until

from .checker import Demand, Mark, Outage
from .cluster import Cluster, free_port
from .conftest import migrate
from .support import Process, Site
from .test_schedulers import assert_good, assert_in_time, stop

MakeSite = Callable[[str], Site]
JOB_IDS = [f"job-{number}" for number in range(20)]


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", ["fast", pytest.param("immediate", marks=pytest.mark.slow)])
def test_a_restart_of_postgresql_loses_no_fire_time(cluster: Cluster, tmp_path: Path, mode: str) -> None:
    port = free_port()
    site = Site(cluster.start(port), tmp_path)
    migrate(site)
    reader = {"id": "reader", "func": "tests:select", "trigger": "interval", "seconds": 1}
    site.jobs = [*map(site.job, JOB_IDS), reader]
    try:
        schedulers = site.schedulers(2)
        until(lambda: len(site.calls("job-19")) >= 2, 20, "the first runs")
        gone = datetime.now(UTC)
        cluster.stop(mode)
        until(lambda: all(process.logged("trying again in 0.8 s") for process in schedulers), 10, "the third try")
        cluster.start(port)
        back = datetime.now(UTC)
        until(lambda: all(process.logged("recovered after") for process in schedulers), 20, "the end of the outage")
        until(lambda: len(calls_after(site, back)) >= 3, 20, "runs after it")
        told = stop_now(*schedulers)
        assert_good(site, *JOB_IDS)
        assert_in_time(site, demand(told, gone, back))
        # The threads' own connections are made again, too. Runs that were due when the scheduler stopped are left to
        # the next one, and fire times that were due while an outcome waited are skipped.
        ended = {r.status for r in site.rows() if r.job_id == "reader" and r.scheduled_time > back} - {
            "queued",
            "skipped",
        }
        assert ended == {"succeeded"}
    finally:
        site.end()
        print(site.logs())  # pytest shows it where the test failed


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "busy",
    [pytest.param(False, id="idle"), pytest.param(True, id="with an outcome to write", marks=pytest.mark.slow)],
)
def test_a_scheduler_that_is_stopped_while_postgresql_is_gone_fails_only_where_something_is_lost(
    cluster: Cluster, tmp_path: Path, busy: bool
) -> None:
    site = Site(cluster.start(free_port()), tmp_path)
    migrate(site)
    site.jobs = [site.job("job", seconds=8)] if busy else []
    try:
        scheduler = site.scheduler()
        until(lambda: scheduler.logged("ready; its id is"), 20, "the start")
        until(lambda: site.calls("job") or not busy, 20, "the run")
        cluster.stop("fast")
        until(lambda: scheduler.logged("trying again"), 20, "the first try")
        if busy:
            ended = site.calls("job")[0].at + timedelta(seconds=8.5)
            until(lambda: datetime.now(UTC) > ended, 30, "the end of the run, whose outcome cannot be written")
            assert scheduler.force() == 1
            assert scheduler.logged("[1-9] runs are lost when its lease ends")
        else:
            scheduler.send(signal.SIGTERM)
            assert scheduler.wait(20) == 0
            assert scheduler.logged("nothing is lost")
    finally:
        site.end()
        print(site.logs())  # pytest shows it where the test failed


@pytest.mark.slow
@pytest.mark.postgresql
def test_connections_that_are_cut_lose_no_fire_time(make_site: MakeSite) -> None:
    site = make_site("postgresql")
    site.jobs = [site.job(job_id) for job_id in JOB_IDS]
    schedulers = site.schedulers(2)
    until(lambda: len(site.calls("job-19")) >= 1, 20, "the first runs")
    began = datetime.now(UTC)
    with psycopg.connect(site.url, autocommit=True) as connection:
        for _ in range(30):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            let_pass(0.1)
    cut = datetime.now(UTC)
    until(lambda: len(calls_after(site, cut)) >= 3, 20, "runs after it")
    told = stop_now(*schedulers)
    assert_good(site, *JOB_IDS)
    assert_in_time(site, demand(told, began, cut))


@pytest.mark.slow
@pytest.mark.postgresql
def test_tables_that_are_locked_on_postgresql_for_ten_seconds_lose_no_fire_time(make_site: MakeSite) -> None:
    sites = {"cronzimus_job": make_site("postgresql"), "cronzimus_run": make_site("postgresql")}
    for site in sites.values():
        site.jobs = [site.job(job_id) for job_id in JOB_IDS]
    schedulers = [process for site in sites.values() for process in site.schedulers(2)]
    until(lambda: all(site.calls("job-19") for site in sites.values()), 20, "the first runs")
    locked = datetime.now(UTC)
    with ExitStack() as stack:
        for table, site in sites.items():
            connection = stack.enter_context(psycopg.connect(site.url, options="-c lock_timeout=10s"))
            connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[call-overload]
        let_pass(10)
    released = datetime.now(UTC)
    until(lambda: all(len(calls_after(site, released)) >= 3 for site in sites.values()), 20, "runs after it")
    told = stop_now(*schedulers)
    for site in sites.values():
        assert_good(site, *JOB_IDS)
        assert_in_time(site, demand(told, locked, released))


@pytest.mark.slow
@pytest.mark.postgresql
def test_a_job_that_is_locked_for_longer_than_a_lease_costs_no_scheduler_its_runs(make_site: MakeSite) -> None:
    site = make_site("postgresql")
    site.jobs = [site.job("locked", seconds=1), site.job("long", seconds=25)]
    schedulers = site.schedulers(2)
    until(lambda: site.calls("locked") and site.calls("long"), 20, "the first runs")
    with psycopg.connect(site.url) as connection:
        connection.execute("SELECT * FROM cronzimus_job WHERE id = 'locked' FOR UPDATE")
        let_pass(20)
    until(lambda: "succeeded" in site.statuses("long"), 20, "its end")
    stop_now(*schedulers)
    assert "lost" not in {row.status for row in site.rows()}


@pytest.mark.slow
def test_a_lock_that_another_holds_on_sqlite_for_ten_seconds_loses_no_fire_time(sqlite_site: Site) -> None:
    site = sqlite_site
    site.jobs = [site.job(job_id) for job_id in JOB_IDS]
    schedulers = site.schedulers(2)
    until(lambda: len(site.calls("job-19")) >= 1, 20, "the first runs")
    with closing(sqlite3.connect(site.url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = datetime.now(UTC)
        let_pass(10)
        other.execute("COMMIT")
    released = datetime.now(UTC)
    until(lambda: len(calls_after(site, released)) >= 3, 20, "runs after it")
    told = stop_now(*schedulers)
    assert_good(site, *JOB_IDS)
    assert_in_time(site, demand(told, locked, released))


def calls_after(site: Site, moment: datetime) -> list[Mark]:
    """Return the calls of the last job whose fire times are later than `moment`."""
    return [mark for mark in site.calls(JOB_IDS[-1]) if mark.scheduled_time > moment]


def stop_now(*schedulers: Process) -> datetime:
    """Stop the schedulers, and return the time of the signal."""
    told = datetime.now(UTC)
    stop(*schedulers)
    return told


def demand(told: datetime, start: datetime, end: datetime) -> Demand:
    """Demand all fire times up to `told`, except in an outage and in the five seconds after it."""
    outage = Outage(start=start, end=end + timedelta(seconds=5))
    return Demand(job_ids=JOB_IDS, until=told, lag=timedelta(seconds=5), outages=[outage], deaths=[start, end])
