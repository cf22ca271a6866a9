"""A connection to SQLite knows whether its file is still the one at its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_started
from django.db import connection, connections

from jobs.db.file_identity import is_current

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(sqlite_only: None, tmp_path: Path):
    """A connection to a file of its own, in place of the default one."""
    before = connections["default"]
    made = before.copy()
    made.settings_dict["NAME"] = str(tmp_path / "db.sqlite3")
    connections["default"] = made
    made.connect()
    yield made
    made.close()
    connections["default"] = before


def test_an_open_file_is_current(other) -> None:
    assert is_current(other)


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_a_request_leaves_a_file_that_is_gone(other, how: str) -> None:
    path = Path(other.settings_dict["NAME"])
    path.unlink()
    if how == "replaced":
        path.write_bytes(b"")
    assert not is_current(other)
    request_started.send(sender=None)
    assert other.connection is None


def test_a_request_leaves_a_file_whose_log_is_gone(other) -> None:
    path = Path(other.settings_dict["NAME"])
    other.cursor().execute("PRAGMA journal_mode = WAL")
    other.cursor().execute("CREATE TABLE t (x)")
    request_started.send(sender=None)
    assert other.connection is not None
    path.with_name(f"{path.name}-wal").unlink()
    assert not is_current(other)
    request_started.send(sender=None)
    assert other.connection is None


@pytest.mark.parametrize("how", ["backup", "older copy", "nothing"])
def test_a_request_leaves_a_file_that_was_overwritten(other, tmp_path: Path, caplog: Any, how: str) -> None:
    path, copy = Path(other.settings_dict["NAME"]), tmp_path / "copy"
    cursor = other.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    for table in range(5):
        cursor.execute(f"CREATE TABLE t{table} (x)")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy.write_bytes(b"" if how == "nothing" else path.read_bytes())
    if how == "backup":
        copy.unlink()
        cursor.execute("VACUUM INTO %s", [str(copy)])
    cursor.execute("CREATE TABLE more (x)")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    request_started.send(sender=None)
    assert other.connection is not None
    path.write_bytes(copy.read_bytes())
    request_started.send(sender=None)
    assert other.connection is None
    assert "was overwritten while it was in use" in caplog.text


def test_a_file_that_was_only_touched_is_current(other) -> None:
    cursor = other.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("CREATE TABLE t (x)")
    assert is_current(other)
    os.utime(other.settings_dict["NAME"], (1, 1))
    assert is_current(other)


def test_looks_at_files_that_come_and_go_keep_few_descriptors(other) -> None:
    open_files = Path("/proc/self/fd")
    if not open_files.exists():
        pytest.skip("no /proc")
    other.cursor().execute("PRAGMA journal_mode = WAL")
    before = len(list(open_files.iterdir()))
    for number in range(20):
        other.cursor().execute(f"CREATE TABLE t{number} (x)")
        assert is_current(other)
        other.close()
        other.connect()
    assert len(list(open_files.iterdir())) <= before + 5


def test_a_vacuum_overwrites_nothing(other) -> None:
    cursor = other.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("CREATE TABLE t AS SELECT zeroblob(100000) AS x")
    cursor.execute("DELETE FROM t")
    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        cursor.execute(statement)
        assert is_current(other)


def test_a_log_that_was_deleted_with_its_last_connection_is_not_missed(other) -> None:
    path = Path(other.settings_dict["NAME"])
    other.cursor().execute("PRAGMA journal_mode = WAL")
    assert is_current(other)
    other.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    assert is_current(other)
    other.connect()
    assert is_current(other)


def test_a_request_keeps_a_file_that_is_there(other) -> None:
    request_started.send(sender=None)
    assert other.connection is not None


def test_other_databases_are_always_current() -> None:
    assert is_current(connection)
