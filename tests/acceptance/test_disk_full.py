"""The disk of the database is full: schedulers wait and log it, and go on when there is room again."""

from __future__ import annotations

import pwd
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.conftest import skip_or_fail
from tests.waiting import let_pass, until

from .checker import Demand, Outage
from .cluster import Cluster, as_postgres, free_port
from .conftest import Databases, migrate
from .support import Site
from .test_schedulers import assert_good, assert_in_time, stop

pytestmark = pytest.mark.slow

JOB_IDS = [f"job-{number}" for number in range(20)]
CHUNK = b"\0" * 65536


class SmallDisk:
    """A file system of a test's own, which the test fills and empties."""

    def __init__(self, folder: Path) -> None:
        """Take the one that is mounted at `folder`."""
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no room."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while file.write(CHUNK):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        """Leave room again."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int, owner: str) -> Iterator[SmallDisk]:
    """Mount a small disk that belongs to `owner` at `folder`; skip the test if that is not allowed."""
    folder.mkdir()
    options = f"size={megabytes}m,mode=700,uid={pwd.getpwnam(owner).pw_uid}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        skip_or_fail(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_under_sqlite_loses_no_fire_time(databases: Databases, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16, "root") as disk:
        site = Site(databases.new("sqlite", disk.folder), tmp_path)
        assert_survives(site, disk, "database or disk is full")


@pytest.mark.postgresql
def test_a_full_disk_under_postgresql_loses_no_fire_time(cluster: Cluster, tmp_path: Path) -> None:
    # Only the tables: a server without room for its write-ahead log stops, which another test covers.
    url = cluster.start(free_port())
    with small_disk(cluster.folder / "disk", 32, "postgres" if as_postgres() else "root") as disk:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'")  # type: ignore[call-overload]
            connection.execute("CREATE DATABASE small TABLESPACE small")
        site = Site(url.rsplit("/", 1)[0] + "/small", tmp_path)
        migrate(site)
        assert_survives(site, disk, "No space left on device")
        cluster.stop("immediate")


def assert_survives(site: Site, disk: SmallDisk, words: str) -> None:
    """Fill the disk under a scheduler, and check that it says so in these `words`, waits, and goes on."""
    # Much incompressible data for each run, so that new pages are needed at once.
    payload = random.Random(7).randbytes(750).hex()
    site.jobs = [site.job(job_id, seconds=0.4) for job_id in JOB_IDS]
    for job in site.jobs:
        job["kwargs"] |= {"payload": payload}
    try:
        scheduler = site.scheduler(threads=20)
        until(lambda: len(site.calls(JOB_IDS[-1])) >= 2, 20, "the first runs")
        disk.fill()
        full = datetime.now(UTC)
        until(lambda: scheduler.logged(words), 30, "the word of a full disk")
        let_pass(4)
        disk.make_room()
        room = datetime.now(UTC)
        until(lambda: scheduler.logged("recovered after"), 30, "the end of it")
        until(lambda: [mark for mark in site.calls(JOB_IDS[-1]) if mark.scheduled_time > room], 20, "runs after it")
        let_pass(2)
        told = datetime.now(UTC)
        stop(scheduler)
        outage = Outage(start=full, end=room + timedelta(seconds=6))
        assert_good(site, *JOB_IDS)
        lag, window = timedelta(seconds=6), timedelta(seconds=10)
        assert_in_time(site, Demand(job_ids=JOB_IDS, until=told, outages=[outage], lag=lag, window=window))
        # Outcomes from the time without room are written.
        assert {row.status for row in site.rows()} <= {"succeeded", "skipped", "queued"}
    finally:
        site.end()
        print(site.logs())  # pytest shows it where the test failed
