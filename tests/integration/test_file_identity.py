"""A connection to SQLite knows whether its file is still the one at its path."""

from __future__ import annotations

from pathlib import Path

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


def test_a_log_that_was_deleted_with_its_last_connection_is_not_missed(other) -> None:
    path = Path(other.settings_dict["NAME"])
    other.cursor().execute("PRAGMA journal_mode = WAL")
    assert is_current(other)
    other.close()
    assert not path.with_name(f"{path.name}-wal").exists()
    other.connect()
    assert is_current(other)


def test_a_request_keeps_a_file_that_is_there(other) -> None:
    request_started.send(sender=None)
    assert other.connection is not None


def test_other_databases_are_always_current() -> None:
    assert is_current(connection)
