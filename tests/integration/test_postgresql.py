"""The health check of connections to PostgreSQL: free while the server is there, and right when it has gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import close_old_connections, connection
from django.db.backends.postgresql import base

from jobs.models import Job
from tests.waiting import until

from .conftest import in_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("postgresql_only")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The answers of the server to Django's own health check, once the connection is open."""
    answers: list[bool] = []
    ask = base.DatabaseWrapper.is_usable

    def is_usable(self: base.DatabaseWrapper) -> bool:
        answers.append(ask(self))
        return answers[-1]

    connection.ensure_connection()
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", is_usable)
    return answers


def terminate() -> None:
    """Have the server end the connection, as it does when it stops."""
    backend = connection.connection.info.backend_pid

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [backend])

    in_thread(end)()


def test_a_connection_in_use_is_not_asked(asked: list[bool]) -> None:
    for _ in range(3):
        close_old_connections()
        assert Job.objects.count() == 0
    assert not asked


def test_a_connection_that_the_server_closed_is_replaced_before_it_is_used(asked: list[bool]) -> None:
    terminate()
    until(lambda: not connection.is_usable())
    close_old_connections()
    assert Job.objects.count() == 0


@pytest.mark.parametrize("end", [lambda: connection.connection.close(), connection.close])
def test_a_closed_connection_is_not_usable(asked: list[bool], end: Callable[[], None]) -> None:
    end()
    assert not connection.is_usable()
    connection.close()


def test_after_an_error_the_server_is_asked(asked: list[bool]) -> None:
    connection.errors_occurred = True
    close_old_connections()
    assert asked == [True]


@pytest.mark.parametrize("setting", ["DateStyle=German", "DateStyle=SQL,DMY", "IntervalStyle=sql_standard"])
def test_instants_and_intervals_are_read_whatever_format_the_database_has(setting: str) -> None:
    other = connection.copy()
    other.settings_dict["OPTIONS"] = {**other.settings_dict["OPTIONS"], "options": f"-c {setting}"}
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT timestamptz '2027-02-03 04:05:06Z', interval '1 day 02:03', date '2027-02-03'")
            assert cursor.fetchone() == (
                datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC), timedelta(days=1, hours=2, minutes=3), date(2027, 2, 3)
            )  # fmt: skip
    finally:
        other.close()
