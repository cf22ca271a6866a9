"""The background thread: a failing task does not affect the others."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from django.db import InterfaceError, OperationalError

from jobs.scheduler.background import Background, Task
from tests.fakes import FakeClock


def counting(calls: list[str], name: str, *, more: bool = False) -> Any:
    def run() -> bool:
        calls.append(name)
        return more

    return run


def test_each_task_is_done_when_it_is_due(clock: FakeClock) -> None:
    calls: list[str] = []
    background = Background(clock, [Task("a", 10, counting(calls, "a")), Task("b", 30, counting(calls, "b"))])
    background.step()
    assert calls == []
    for _ in range(4):
        clock.advance(10)
        background.step()
    assert calls == ["a", "a", "a", "b", "a"]


def test_a_task_with_more_to_do_is_done_again_at_once(clock: FakeClock) -> None:
    calls: list[str] = []
    background = Background(clock, [Task("a", 10, counting(calls, "a", more=True))])
    clock.advance(10)
    background.step()
    background.step()
    assert calls == ["a", "a"]


def test_a_task_that_fails_is_logged_and_does_not_stop_the_others(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> bool:
        raise ValueError("no")

    background = Background(clock, [Task("a", 10, fail), Task("b", 10, counting(calls, "b"))])
    clock.advance(10)
    background.step()
    assert calls == ["b"]
    assert [record.action for record in caplog.records] == ["background_failed"]


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_an_outage_is_logged_once_a_minute_and_ends_the_connection(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    connection = Mock()
    monkeypatch.setattr("jobs.scheduler.background.connection", connection)
    errors = [kind("gone\n  away\nLINE 1: UPDATE …")] * 31 + [OperationalError("starting")] * 2

    def fail() -> bool:
        raise errors.pop(0)

    background = Background(clock, [Task("a", 2, fail)])
    while errors:
        clock.advance(2)
        background.step()
    assert [record.getMessage().removeprefix("a waits for the database: ") for record in caplog.records] == [
        "gone away", "gone away", "starting",
    ]  # fmt: skip
    assert connection.close.call_count == 33


def test_nothing_is_done_after_the_stop(clock: FakeClock) -> None:
    calls: list[str] = []
    background = Background(clock, [Task("a", 10, counting(calls, "a"))])
    clock.advance(10)
    background.stop()
    background.step()
    assert calls == []
