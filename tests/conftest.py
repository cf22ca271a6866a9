"""Fixtures and settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from hypothesis import settings as hypothesis_settings

from tests import job_functions
from tests.fakes import NOW, FakeClock

CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET")

CI = os.environ.get("CI", "").lower() == "true"
"""Whether every test has to run: the slow ones too, and those that need a service."""

PARTITIONED = os.environ.get("PARTITIONED", "").lower() == "true"
"""Whether the table of runs has partitions on PostgreSQL, as docs/scale.md makes them."""


def examples(number: int) -> int:
    """Return the number of examples of a property: `number` with CI=true, a quarter of it without."""
    return number if CI else number // 4


def thinned(values: Iterable[Any], *, every: int) -> list[Any]:
    """Return the parameters of a test: each of `values` with CI=true, without it one of `every`."""
    sets = (value if isinstance(value, tuple) else (value,) for value in values)
    return [pytest.param(*each, marks=pytest.mark.slow if number % every else ()) for number, each in enumerate(sets)]


hypothesis_settings.register_profile("shared machine", deadline=None, max_examples=examples(100))
hypothesis_settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that are marked `slow`, and on PostgreSQL those marked `any_database`, unless CI=true.

    Without the PostgreSQL that DATABASE_URL names, all are skipped.
    """
    if CI:
        return
    on_postgresql = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")
    missing = _missing_server() if on_postgresql else ""
    for item in items:
        if missing:
            item.add_marker(pytest.mark.skip(reason=missing))
        elif item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow; CI=true runs it"))
        elif on_postgresql and item.get_closest_marker("any_database"):
            item.add_marker(pytest.mark.skip(reason="SQLite ran it; CI=true runs it on PostgreSQL too"))


def _missing_server() -> str:
    """Return the reason why the PostgreSQL of the tests cannot be used, "" if it can."""
    database = settings.DATABASES["default"]
    try:
        psycopg.connect(
            host=database["HOST"], port=database["PORT"] or None, user=database["USER"], password=database["PASSWORD"],
            dbname="postgres", connect_timeout=5,
        ).close()  # fmt: skip
    except psycopg.OperationalError as error:
        return f"no PostgreSQL: {str(error).splitlines()[0]}"
    return ""


def skip_or_fail(reason: str) -> None:
    """Skip the test because a service is missing; with CI=true, fail it."""
    if CI:
        pytest.fail(f"{reason} (CI=true: nothing is skipped)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Make the databases, and empty them quickly after tests that commit."""
    from django.test import TransactionTestCase

    from tests.emptying import Emptying  # here: the unit tests need no database
    from tests.partitions import partition_runs

    with django_db_blocker.unblock():
        if PARTITIONED and connection.vendor == "postgresql":
            partition_runs(NOW)
        _commit_without_waiting()
        emptying = Emptying()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: emptying.run())
        yield


def _commit_without_waiting() -> None:
    """Have PostgreSQL commit to memory: nothing of the tests has to survive a crash of the server."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        connection.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def calls() -> Iterator[list[tuple[Any, ...]]]:
    """The arguments of each call of the function "tests:record"."""
    job_functions.called.clear()
    yield job_functions.called
    job_functions.called.clear()


@pytest.fixture
def statements() -> Callable[[], AbstractContextManager[list[str]]]:
    """Return a context that collects the statements of the default connection, without BEGIN, COMMIT and savepoints."""

    @contextmanager
    def collected() -> Iterator[list[str]]:
        found: list[str] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if not sql.lstrip().upper().startswith(CONTROL):
                found.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(note):
            yield found

    return collected


@pytest.fixture
def postgresql_only() -> None:
    """Skip the test on other databases: it is about a lock or a plan that only PostgreSQL has."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL; run with DATABASE_URL=postgresql://…")


@pytest.fixture
def sqlite_only() -> None:
    """Skip the test on other databases: it is about SQLite."""
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite; run without DATABASE_URL")
