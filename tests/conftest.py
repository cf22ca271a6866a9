"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from django.db import connection
from hypothesis import settings as hypothesis_settings

from tests import job_functions
from tests.fakes import FakeClock

hypothesis_settings.register_profile("shared machine", deadline=None, max_examples=100)
hypothesis_settings.load_profile("shared machine")

CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "SET")


def skip_or_fail(reason: str) -> None:
    """Skip the test for want of a service; where CI=true nothing may be missing, and it fails."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (CI=true: nothing is skipped)")
    pytest.skip(reason)


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
    """Return a context that collects the statements of the default connection, without those that only frame them."""

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
