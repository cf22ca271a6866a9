"""A connection to SQLite knows whether its file is still the one at its path."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_started
from django.db import connection, connections

from jobs.db import file_identity
from jobs.db.file_identity import is_gone, is_overwritten

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


@pytest.fixture
def stock(other) -> Any:
    """`other` with SQLite's own journal mode, as in a host project that sets none."""
    other.close()
    Path(other.settings_dict["NAME"]).unlink()
    del other.settings_dict["OPTIONS"]["init_command"]
    other.connect()
    return other


def is_current(connection: Any) -> bool:
    return not (is_gone(connection) or is_overwritten(connection))


def use_log(connection: Any) -> None:
    """Have a connection write into a log, and look at its file for the first time."""
    connection.cursor().execute("PRAGMA journal_mode = WAL")
    connection.cursor().execute("CREATE TABLE t (x)")
    assert is_current(connection)


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
def test_a_file_that_was_overwritten_is_noticed(other, tmp_path: Path, how: str) -> None:
    path, copy = Path(other.settings_dict["NAME"]), tmp_path / "copy"
    cursor = other.cursor()
    use_log(other)
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy.write_bytes(b"" if how == "nothing" else path.read_bytes())
    if how == "backup":
        copy.unlink()
        cursor.execute("VACUUM INTO %s", [str(copy)])
    cursor.execute("CREATE TABLE more (x)")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert is_current(other)
    before = path.stat().st_mtime_ns
    path.write_bytes(copy.read_bytes())
    os.utime(path, ns=(before, before + 10_000_000))  # file systems tell times that are less than this apart as one
    assert is_overwritten(other)


# --- no false alarms -------------------------------------------------------------------------------------------------


def test_a_log_that_only_others_have_opened_may_be_deleted(stock) -> None:
    stock.cursor().execute("CREATE TABLE t (x)")
    with closing(sqlite3.connect(stock.settings_dict["NAME"])) as another:
        another.execute("PRAGMA journal_mode = WAL")
        another.execute("CREATE TABLE u (x)")
        assert is_current(stock)
    assert not Path(f"{stock.settings_dict['NAME']}-wal").exists()
    assert is_current(stock)


def test_the_driver_may_close_a_connection_behind_its_back(other) -> None:
    use_log(other)
    other.connection.close()
    assert is_current(other)


def test_a_connection_that_could_not_be_prepared_is_not_compared_to_the_last_one(other) -> None:
    use_log(other)
    other.close()
    other.connection = other.get_new_connection(other.get_connection_params())
    assert is_current(other)


def test_a_connection_may_leave_the_log(other) -> None:
    use_log(other)
    other.cursor().execute("PRAGMA journal_mode = DELETE")
    assert is_current(other)


def test_a_function_may_change_the_current_folder(other, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other.close()
    other.settings_dict["NAME"] = "db.sqlite3"
    other.connect()
    use_log(other)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert is_current(other)


@pytest.mark.parametrize("call", ["stat", "open", "pread"])
def test_a_file_that_cannot_be_read_for_a_while_is_current(other, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*args: Any) -> None:
        raise OSError(24, "Too many open files")

    use_log(other)
    os.utime(other.settings_dict["NAME"], (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(file_identity, "_descriptors", {})
        patch.setattr(os, call, fail)
        assert is_current(other)
    assert is_current(other)


def test_a_transaction_that_is_rolled_back_overwrites_nothing(stock) -> None:
    stock.cursor().execute("CREATE TABLE t (x)")
    path = Path(stock.settings_dict["NAME"])
    before = path.read_bytes()
    stock.cursor().execute("CREATE TABLE u (x)")
    assert is_current(stock)
    path.write_bytes(before)  # as SQLite does from the journal of a process that was killed
    assert is_current(stock)


def test_an_old_index_beside_a_file_without_a_log_says_nothing(stock) -> None:
    path = Path(stock.settings_dict["NAME"])
    use_log(stock)
    index = Path(f"{path}-shm").read_bytes()
    stock.cursor().execute("PRAGMA journal_mode = DELETE")
    stock.close()
    Path(f"{path}-shm").write_bytes(index)
    stock.connect()
    for number in range(3):
        stock.cursor().execute(f"CREATE TABLE t{number} (x)")
        assert is_current(stock)


def test_a_restore_through_sqlite_overwrites_nothing(other, tmp_path: Path) -> None:
    use_log(other)
    with (
        closing(sqlite3.connect(other.settings_dict["NAME"])) as another,
        closing(sqlite3.connect(tmp_path / "backup")) as backup,
    ):
        another.backup(backup)
        for number in range(3):
            other.cursor().execute(f"CREATE TABLE t{number} (x)")
        other.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert is_current(other)
        backup.backup(another)
        assert is_current(other)
        another.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert is_current(other)


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
