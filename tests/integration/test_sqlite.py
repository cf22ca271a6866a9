"""SQLite's one lock: a waiting connection tries often, for the time of the option `timeout`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from jobs.db.sqlite3 import base
from jobs.models import Job
from tests.fakes import make_job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sqlite_only")]


@pytest.fixture
def other(sqlite_only: None, transactional_db: None) -> Iterator[sqlite3.Connection]:
    """Another connection, which holds the lock."""
    held = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    yield held
    held.close()


def busy_timeout() -> int:
    """Return the milliseconds for which statements of the default connection wait."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        return int(cursor.fetchone()[0])


def test_a_transaction_begins_as_soon_as_the_lock_is_found_free(
    other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            other.execute("ROLLBACK")

    monkeypatch.setattr(base, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))  # not of all threads
    with transaction.atomic():
        make_job()
    assert looks == [base.LOCK_RETRY_SECONDS] * 3
    assert Job.objects.count() == 1


def test_a_lock_that_is_held_for_too_long_is_an_error(
    other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0)
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pass
    other.execute("ROLLBACK")
    with transaction.atomic():
        make_job()
    assert Job.objects.count() == 1


def test_another_error_is_not_waited_for(transactional_db: None) -> None:
    connection.ensure_connection()
    connection.connection.execute("BEGIN")
    try:
        with pytest.raises(OperationalError, match="within a transaction"):
            connection._start_transaction_under_autocommit()  # type: ignore[attr-defined]
    finally:
        connection.connection.execute("ROLLBACK")


def test_single_statements_wait_as_before(transactional_db: None, settings: Any) -> None:
    before = busy_timeout()
    with transaction.atomic():
        assert busy_timeout() == before
    assert before == settings.DATABASES["default"]["OPTIONS"]["timeout"] * 1000
