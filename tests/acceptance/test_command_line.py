"""`manage.py cronzimus` as a process: broken pipes, streams that cannot be written, Ctrl-C, exit statuses."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .conftest import migrate
from .support import ROOT, Site

COMMAND = [sys.executable, "manage.py", "cronzimus"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return a site with migrations, and one job."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(f"sqlite:///{folder / 'db.sqlite3'}", folder)
    migrate(site)
    job = "{id: a, func: 'cronzimus.controller.task:task', trigger: {type: interval, hours: 1}}"
    done = run(site, "apply", "-f", "-", input=f"version: 1\njobs:\n- {job}\n".encode())
    assert done.returncode == 0, done.stderr
    return site


def run(site: Site, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env=site.environment, stderr=subprocess.PIPE, timeout=60, check=False, **options
    )


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_any_more_ends_it_quietly(site: Site) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(site, "jobs", stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_one_message(site: Site) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run(site, "jobs", stdout=full)
    assert (done.returncode, done.stderr) == (
        1, b"CommandError: the standard output cannot be written: No space left on device\n",
    )  # fmt: skip


def test_a_closed_output_is_one_message(site: Site) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" >&-', "sh", *COMMAND, "jobs"],
        cwd=ROOT, env=site.environment, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, b"CommandError: the standard output is closed\n")


@pytest.mark.parametrize(
    "words", [["diff"], ["diff", "-f", "x", "--bogus"], ["bogus"], ["runs", "--status", "bogus"], []], ids=" ".join
)
def test_a_wrong_command_line_does_not_exit_as_a_difference_does(site: Site, words: list[str]) -> None:
    done = run(site, *words)
    assert done.returncode == 1
    assert done.stderr.startswith(b"usage: ")


def test_missing_migrations_are_named(tmp_path: Path) -> None:
    done = run(Site(f"sqlite:///{tmp_path / 'empty.sqlite3'}", tmp_path), "jobs")
    assert (done.returncode, done.stderr) == (
        1, b"CommandError: the database is not up to date; run: manage.py migrate\n",
    )  # fmt: skip


def test_a_database_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    done = run(Site("postgresql://someone:geheim@127.0.0.1:1/postgres", tmp_path), "jobs")
    assert done.returncode == 1
    assert done.stderr.startswith(b"CommandError: the database does not answer: ")
    assert done.stderr.count(b"\n") == 1
    assert b"geheim" not in done.stderr


def test_ctrl_c_ends_logs_that_follow_a_run(site: Site) -> None:
    assert run(site, "run", "a").returncode == 0  # it waits: no scheduler is there
    with closing(sqlite3.connect(site.folder / "db.sqlite3")) as database, database:
        database.execute("UPDATE cronzimus_run SET output = 'the first line\n'")
    process = subprocess.Popen(
        [*COMMAND, "logs", "-f", "a"], cwd=ROOT, env=site.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"the first line\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, b"CommandError: interrupted\n")
