"""The loop and the watcher have connections of their own, with any settings of the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from psycopg import IsolationLevel

from jobs.models import Run, announce
from jobs.scheduler.executors import local_executors
from jobs.scheduler.scheduler import Scheduler as Loop
from jobs.scheduler.store.connection import POSTGRESQL_DEFAULTS, loop_connection, own_connection
from jobs.scheduler.wakeup import Watcher
from tests.fakes import RunningClock, make_job
from tests.waiting import until

from .conftest import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def shown(setting: str) -> str:
    """Return a setting of the default connection."""
    with connection.cursor() as cursor:
        cursor.execute(setting)
        return str(cursor.fetchone()[0])


TUNED = {"sqlite": ("PRAGMA cache_size", "-8000"), "postgresql": ("SHOW jit", "off")}


def test_the_loops_connection_is_tuned_and_no_other_is() -> None:
    setting, tuned = TUNED[connection.vendor]
    before = connections["default"]
    assert shown(setting) != tuned
    with loop_connection():
        assert shown(setting) == tuned
        assert in_thread(lambda: shown(setting))() != tuned
        connection.close()
        assert shown(setting) == tuned  # also after a reconnection
    assert connections["default"] is before
    assert shown(setting) != tuned


@pytest.mark.usefixtures("postgresql_only")
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_no_stricter_isolation_of_the_database_is_used(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    startup = "-c default_transaction_isolation=" + level.replace(" ", r"\ ")
    options = {**connection.settings_dict["OPTIONS"], "options": startup}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    def levels() -> list[str]:
        with transaction.atomic():
            return [shown("SHOW transaction_isolation"), shown("SHOW default_transaction_isolation")]

    connection.close()
    try:
        assert levels() == ["read committed", level]
        with loop_connection():
            assert levels() == ["read committed", "read committed"]
    finally:
        connection.close()


@pytest.mark.usefixtures("postgresql_only")
@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_no_stricter_isolation_of_the_project_is_used(monkeypatch: pytest.MonkeyPatch, level: IsolationLevel) -> None:
    options = {**connection.settings_dict["OPTIONS"], "isolation_level": level}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)

    def level_of_a_transaction() -> str:
        with transaction.atomic():
            return shown("SHOW transaction_isolation")

    connection.close()
    try:
        assert level_of_a_transaction() == level.name.lower().replace("_", " ")
        with loop_connection():
            assert level_of_a_transaction() == "read committed"
    finally:
        connection.close()


def test_a_connection_of_its_own_is_closed_with_the_loop() -> None:
    with loop_connection():
        own = connections["default"]
        own.ensure_connection()
    assert own.connection is None


@pytest.mark.usefixtures("postgresql_only")
def test_the_projects_options_count_before_the_schedulers_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"application_name": "shop", "connect_timeout": 3, "assume_role": "postgres"}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    own = own_connection()
    assert own.settings_dict["OPTIONS"] == POSTGRESQL_DEFAULTS | options
    with own.cursor() as cursor:
        cursor.execute("SHOW application_name")
        assert cursor.fetchone() == ("shop",)
    own.close()


# --- a connection pool -----------------------------------------------------------------------------------------------


@pytest.fixture
def pool_of_one(postgresql_only: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django's connection pool, with a single connection; the test itself has a connection outside of it."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    pool = {"min_size": 1, "max_size": 1, "timeout": 30}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", connection.settings_dict["OPTIONS"] | {"pool": pool})
    with loop_connection():
        yield
    connection.close_pool()


def status(job_id: str) -> str:
    return Run.objects.filter(job_id=job_id).values_list("status", flat=True).first() or ""


@pytest.mark.usefixtures("pool_of_one")
def test_functions_that_use_up_the_pool_do_not_stop_the_loop(released: threading.Event, calls: list[Any]) -> None:
    make_job("greedy", func="tests:hold", args=[True])
    loop = Loop(local_executors(2, 1), RunningClock())  # type: ignore[arg-type]
    ended = in_thread(loop.start)
    until(lambda: status("greedy") == "running")
    make_job("modest")
    announce()
    until(lambda: status("modest") == "succeeded")
    assert status("greedy") == "running"
    released.set()
    until(lambda: status("greedy") == "succeeded")
    loop.drain()
    ended()


@pytest.mark.usefixtures("pool_of_one")
def test_a_change_is_heard_while_the_pool_is_used_up() -> None:
    rung = threading.Event()
    pooled = connection.copy()
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 1}
    pooled.connect()
    watcher = Watcher(rung.set)
    watcher.start()
    assert rung.wait(60)
    rung.clear()
    announce()
    assert rung.wait(60)
    watcher.stop()
    pooled.close()
