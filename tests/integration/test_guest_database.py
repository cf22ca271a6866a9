"""Django's own database backends, in somebody else's project, have most features of ours."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, models
from django.db.utils import ConnectionHandler

from jobs.db import connections as adapted
from jobs.db.sqlite3 import base  # noqa: F401 (Django's module of operations needs it first)
from jobs.db.sqlite3.operations import DatabaseOperations, GuestOperations
from jobs.models import Job

from .conftest import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def stock_sqlite(folder: Path, alias: str = "default", **options: Any) -> Any:
    """Return a connection of Django's own backend to a file in `folder`."""
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "host.sqlite3"), "OPTIONS": options}
    handler = ConnectionHandler({"default": settings, "archive": settings})
    made = handler[alias]
    made.inc_thread_sharing()
    made.ensure_connection()
    return made


def test_transactions_begin_with_the_lock(tmp_path: Path) -> None:
    assert stock_sqlite(tmp_path).transaction_mode == "IMMEDIATE"


def test_the_mode_that_a_project_names_stays(tmp_path: Path) -> None:
    assert stock_sqlite(tmp_path, transaction_mode="EXCLUSIVE").transaction_mode == "EXCLUSIVE"


def test_another_database_stays_as_it_is(tmp_path: Path) -> None:
    other = stock_sqlite(tmp_path, "archive")
    assert other.transaction_mode is None
    assert not isinstance(other.ops, DatabaseOperations)


def test_our_own_backend_stays_as_it_is(sqlite_only: None) -> None:
    connection.ensure_connection()
    assert type(connection.ops) is DatabaseOperations


def test_writers_that_read_first_wait_for_each_other(tmp_path: Path) -> None:
    # A disk that syncs slowly must not use the time up that a writer waits for.
    patient = {"timeout": 60, "init_command": "PRAGMA synchronous=OFF"}
    first = stock_sqlite(tmp_path, **patient)
    with first.cursor() as cursor:
        cursor.execute("CREATE TABLE counter (number integer)")
        cursor.execute("INSERT INTO counter VALUES (0)")
    start = threading.Barrier(4, timeout=60)

    def count() -> None:
        own = stock_sqlite(tmp_path, **patient)
        start.wait()
        for _ in range(20):
            own.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
            with own.cursor() as cursor:
                cursor.execute("SELECT number FROM counter")
                (number,) = cursor.fetchone()
                cursor.execute("UPDATE counter SET number = %s", [number + 1])
            own.commit()
            own.set_autocommit(True)
        own.close()

    for finished in [in_thread(count) for _ in range(4)]:
        finished()
    with first.cursor() as cursor:
        cursor.execute("SELECT number FROM counter")
        assert cursor.fetchone() == (80,)


def converted(connection: Any, field: models.Field[Any, Any], value: Any) -> Any:
    """Return the result of a query for a column's `value`."""
    expression = field.get_col("table")
    for converter in connection.ops.get_db_converters(expression):
        value = converter(value, expression, connection)
    return value


@pytest.mark.parametrize(
    ("name", "stored", "read"),
    [("next_run_time", 5, None), ("max_instances", "many", 1), ("name", b"caf\xe9", "caf\ufffd")],
)
def test_odd_values_of_our_rows_are_read(tmp_path: Path, name: str, stored: Any, read: Any) -> None:
    stock = stock_sqlite(tmp_path)
    assert isinstance(stock.ops, GuestOperations)
    assert converted(stock, Job._meta.get_field(name), stored) == read


def test_odd_values_of_other_apps_are_not_our_business(tmp_path: Path) -> None:
    from django.contrib.auth.models import User

    with pytest.raises(TypeError):
        converted(stock_sqlite(tmp_path), User._meta.get_field("last_login"), 5)


IMPOSSIBLE = "2030-02-31 12:00:00"


def test_an_impossible_date_of_our_rows_is_read_as_null_and_raises_in_those_of_other_apps(tmp_path: Path) -> None:
    from django.contrib.auth.models import User

    stock = stock_sqlite(tmp_path)
    assert converted(stock, Job._meta.get_field("next_run_time"), IMPOSSIBLE) is None
    with pytest.raises(ValueError, match="day is out of range"):
        converted(stock, User._meta.get_field("last_login"), IMPOSSIBLE)


def test_the_driver_reads_any_value(tmp_path: Path) -> None:
    with stock_sqlite(tmp_path).cursor() as cursor:
        cursor.execute("CREATE TABLE odd (at datetime, text text)")
        cursor.execute("INSERT INTO odd VALUES (%s, CAST(x'636166e9' AS text))", [IMPOSSIBLE])
        cursor.execute("SELECT at, text FROM odd")
        assert cursor.fetchone() == (IMPOSSIBLE, "caf\ufffd")


@pytest.mark.usefixtures("postgresql_only")
def test_the_threads_of_a_scheduler_do_without_djangos_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        **connection.settings_dict,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 2, "timeout": 20}},
    }
    handler = ConnectionHandler({"default": settings})
    monkeypatch.setattr(adapted, "connections", handler)
    handler["default"].ensure_connection()
    adapted.use_own_connections()
    held = [in_thread_connection(handler) for _ in range(4)]
    assert len({made.connection.info.backend_pid for made in held}) == 4
    assert handler["default"].settings_dict["CONN_MAX_AGE"] == 60
    for made in held:
        made.close()


def in_thread_connection(handler: ConnectionHandler) -> Any:
    """Return the connection of a thread of its own, opened."""
    made = handler.create_connection("default")
    made.inc_thread_sharing()
    made.ensure_connection()
    return made


def test_a_project_without_a_pool_keeps_its_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "x"), "CONN_MAX_AGE": 7}
    handler = ConnectionHandler({"default": settings})
    monkeypatch.setattr(adapted, "connections", handler)
    adapted.use_own_connections()
    assert handler["default"].settings_dict["CONN_MAX_AGE"] == 7
