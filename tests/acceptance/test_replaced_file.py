"""SQLite's file is replaced, deleted or overwritten under processes that have it open: they do not write to it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import thinned

ROOT = Path(__file__).parents[2]


def environment(path: Path) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": f"sqlite:///{path}", "DEBUG": "true", "SECRET_KEY": "x", "JOBS": "[]"}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "db.sqlite3"
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment(path), check=True, timeout=120
    )
    return path


def test_a_new_file_is_readable_by_its_user_alone(database: Path) -> None:
    assert database.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", thinned(["overwritten", "replaced", "deleted", "without its log"], every=4))
def test_a_scheduler_ends_with_an_error_that_says_so(database: Path, how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runscheduler"], cwd=ROOT, env=environment(database), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while "ready; its id is" not in (line := process.stdout.readline()):
            assert line, "the scheduler ended before it had started"
        time.sleep(0.5)
        copy = database.with_suffix(".copy")
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM INTO ?", [str(copy)])
        if how == "overwritten":
            shutil.copyfile(copy, database)
        elif how == "replaced":
            copy.replace(database)
        else:
            (database if how == "deleted" else Path(f"{database}-wal")).unlink()
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert ("was overwritten" if how == "overwritten" else "was replaced or deleted: start again") in out
    assert process.returncode == 1
