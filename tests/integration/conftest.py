"""Fixtures of the tests with a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, connections

from jobs.functions import registry
from jobs.scheduler.scheduler import Scheduler
from tests.fakes import PLACE, FakeClock, inline_executors
from tests.waiting import until

from .api_client import api

__all__ = ["api", "until"]


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Start `call` in a thread with a database connection of its own; return a function that waits for its result."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append((call(), None))
        except BaseException as error:
            results.append((None, error))
        finally:
            connections.close_all()

    thread = Thread(target=work)
    thread.start()

    def result() -> Any:
        thread.join(timeout=60)
        assert results, "the thread did not end"
        value, error = results[0]
        if error is not None:
            raise error
        return value

    return result


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """Ends the calls of "tests:hold"; those with `connect` take a connection and keep it."""
    event = Event()

    def hold(connect: bool = False) -> None:
        if connect:
            connection.ensure_connection()
        event.wait(60)

    monkeypatch.setitem(registry._functions, "tests:hold", registry.Function("tests:hold", hold))
    yield event
    event.set()


@pytest.fixture
def patient_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each of many writers on SQLite wait for a minute: a disk may be slow, and the last one waits for them all."""
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 60)


@contextmanager
def failing_database(error: Exception) -> Iterator[list[str]]:
    """Make every statement of the default connection raise `error`; yields the statements that were tried."""
    tried: list[str] = []

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        tried.append(sql)
        raise error

    with connection.execute_wrapper(fail):
        yield tried


@pytest.fixture
def make_loop(clock: FakeClock) -> Iterator[Callable[..., Scheduler]]:
    """Return a function that opens a `Scheduler` on the fake clock; its runs start when a test calls `work`."""
    made: list[Scheduler] = []

    def make(threads: int = 4, processes: int = 2, **options: Any) -> Scheduler:
        executors = inline_executors(threads, processes, threads if PLACE else 0)
        scheduler = Scheduler(executors, clock)  # type: ignore[arg-type]
        scheduler.open(**options)
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        scheduler.force()
