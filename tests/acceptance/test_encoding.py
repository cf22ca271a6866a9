"""A PostgreSQL database whose encoding lacks characters: the runs that need them fail, and the others go on."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import skip_or_fail
from tests.waiting import until

from .conftest import SERVER, migrate
from .support import Site

pytestmark = pytest.mark.postgresql
numbers = itertools.count(1)


@pytest.fixture
def latin1_site(tmp_path: Path) -> Iterator[Site]:
    """A site on a database with the encoding LATIN1."""
    name = f"cronzimus_latin1_{os.getpid()}_{next(numbers)}"
    try:
        with psycopg.connect(SERVER, autocommit=True, connect_timeout=5) as server:
            server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")  # type: ignore[call-overload]
    except psycopg.OperationalError as error:
        skip_or_fail(f"no PostgreSQL at {SERVER}: {error}")
    site = Site(SERVER.rsplit("/", 1)[0] + f"/{name}", tmp_path)
    try:
        migrate(site)
        yield site
    finally:
        site.end()
        print(site.logs())
        with psycopg.connect(SERVER, autocommit=True, connect_timeout=5) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[call-overload]


def test_runs_with_a_character_that_the_database_lacks_fail_alone(latin1_site: Site) -> None:
    site = latin1_site
    rule = {"trigger": "interval", "seconds": 1}
    for how, executor in itertools.product(("print", "return", "raise"), ("thread", "process")):
        job_id = f"{how}_{executor}"
        site.jobs.append({"id": job_id, "func": "tests:euro", "args": [how], "executor": executor, **rule})
    site.jobs.append({"id": "umlaut", "func": "tests:speak", "args": ["grüße"], **rule})
    scheduler = site.scheduler()
    assert scheduler.logged("The encoding of the database is LATIN1")
    until(lambda: all(finished(site, job["id"]) >= 2 for job in site.jobs), 40, "two runs of each job")
    scheduler.send(signal.SIGTERM)
    assert scheduler.wait(15) == 0
    rows = site.query("SELECT job_id, status, error, output FROM cronzimus_run WHERE finished_at IS NOT NULL")
    for job_id, status, error, output in rows:
        if status in ("skipped", "missed"):
            continue
        if job_id == "umlaut":
            assert (status, output) == ("succeeded", "grüße\n")
        else:
            assert status == "failed"
            assert error.startswith("the database refused to store its outcome, which was ")
            assert ("5 \\u20ac" in error) == job_id.startswith("raise")
            assert ("5 ?" in output) == job_id.startswith("print")


@pytest.mark.slow
def test_the_encoding_of_the_database_is_checked(latin1_site: Site) -> None:
    process = latin1_site.start("manage.py", "check", "--database", "default")
    assert process.wait(30) == 0
    assert process.logged(r"cronzimus\.W004.*LATIN1")


def finished(site: Site, job_id: str) -> int:
    return sum(status in ("succeeded", "failed") for status in site.statuses(job_id))
