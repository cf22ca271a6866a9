"""The database fails under the schedulers, and comes back: they go on, and every fire time is accounted for."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from tests.conftest import skip_or_fail

from .conftest import migrate
from .support import Site, let_pass, until
from .test_schedulers import assert_good, stop


class Cluster:
    """A PostgreSQL of a test's own, which can be stopped and started."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        """Make one in `folder` with the programs in `binaries`."""
        self.folder = folder
        self.binaries = binaries
        self.port = 0
        self._run("initdb", "--username=postgres", "--auth=trust", "--no-sync", f"--pgdata={folder}/data")

    def start(self, port: int) -> str:
        """Start it, and return the URL of its database."""
        self.port = port
        options = f"-p {port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "start", "--wait", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options)
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def stop(self, mode: str) -> None:
        """Stop it: "fast" cuts the connections, "immediate" is a crash."""
        self._run("pg_ctl", "stop", "--wait", "-D", f"{self.folder}/data", "-m", mode)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*as_postgres(), str(self.binaries / program), *arguments]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, cwd=self.folder)


def as_postgres() -> list[str]:
    """Return what to put before a command: PostgreSQL does not run as root."""
    return ["runuser", "-u", "postgres", "--"] if Path.home() == Path("/root") else []


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of the test's own, stopped in the end."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        skip_or_fail("no PostgreSQL programs in /usr/lib/postgresql")
    folder = Path(
        subprocess.run([*as_postgres(), "mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip()
    )
    made = Cluster(folder, binaries[-1])
    yield made
    if (folder / "data" / "postmaster.pid").exists():
        made.stop("immediate")
    shutil.rmtree(folder)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.postgresql
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_postgresql_loses_no_fire_time(cluster: Cluster, tmp_path: Path, mode: str) -> None:
    port = free_port()
    site = Site(cluster.start(port), tmp_path)
    migrate(site)
    job_ids = [f"job-{number}" for number in range(20)]
    reader = {"id": "reader", "func": "tests:select", "trigger": "interval", "seconds": 1}
    site.jobs = [*map(site.job, job_ids), reader]
    try:
        scheduler = site.scheduler()
        until(lambda: len(site.calls("job-19")) >= 2, 20, "the first runs")
        cluster.stop(mode)
        until(lambda: scheduler.logged("trying again in 0.8 s"), 10, "the third try")
        cluster.start(port)
        back = datetime.now(UTC)
        until(lambda: len([m for m in site.calls("job-19") if m.scheduled_time > back]) >= 3, 20, "runs after it")
        stop(scheduler)
        assert scheduler.logged("going on after")
        assert_good(site, *job_ids)
        # The threads' own connections are made anew, too; what was due as the scheduler stopped is left to the next.
        ended = {r.status for r in site.rows() if r.job_id == "reader" and r.scheduled_time > back} - {"queued"}
        assert ended == {"succeeded"}
    finally:
        site.end()
        print(site.logs())  # pytest shows it where the test failed


@pytest.mark.postgresql
def test_connections_that_are_cut_lose_no_fire_time(make_site: object) -> None:
    site: Site = make_site("postgresql")  # type: ignore[operator]
    job_ids = [f"job-{number}" for number in range(20)]
    site.jobs = [site.job(job_id) for job_id in job_ids]
    scheduler = site.scheduler()
    until(lambda: len(site.calls("job-19")) >= 1, 20, "the first runs")
    with psycopg.connect(site.url, autocommit=True) as connection:
        for _ in range(30):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            let_pass(0.1)
    cut = datetime.now(UTC)
    until(lambda: any(mark.scheduled_time > cut for mark in site.calls("job-19")), 20, "runs after it")
    stop(scheduler)
    assert_good(site, *job_ids)


def test_a_lock_that_another_holds_on_sqlite_for_five_seconds_loses_no_fire_time(sqlite_site: Site) -> None:
    site = sqlite_site
    job_ids = [f"job-{number}" for number in range(20)]
    site.jobs = [site.job(job_id) for job_id in job_ids]
    scheduler = site.scheduler()
    until(lambda: len(site.calls("job-19")) >= 1, 20, "the first runs")
    with closing(sqlite3.connect(site.url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        let_pass(5)
        other.execute("COMMIT")
    released = datetime.now(UTC)
    until(lambda: any(mark.scheduled_time > released for mark in site.calls("job-19")), 10, "runs after it")
    stop(scheduler)
    assert_good(site, *job_ids)
