"""A run with secrets: its function gets the values, and the record of the run does not have them."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from jobs.calls import messages, runner
from jobs.calls.output import Output, capture_installed
from jobs.core.held import Outcome
from jobs.core.runs import RunStatus
from jobs.functions import registry
from tests.fakes import FakeClock, held_run

VALUE = "hunter2-hunter2"
Ran = Callable[..., Outcome]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path, clock: FakeClock) -> Ran:
    """Return a helper that runs a function with the secret `crm`, and returns the outcome."""
    (tmp_path / "crm").write_text(VALUE)
    settings.CRONZIMUS = settings.CRONZIMUS | {"SECRETS": {"folder": str(tmp_path)}}

    def run(call: Callable[..., Any], check: Any = None, name: str = "crm") -> Outcome:
        monkeypatch.setitem(registry._functions, "tests:it", registry.Function("tests:it", call, check))
        with capture_installed():
            held = held_run(func="tests:it", args=[{"$secret": name}])
            return runner.execute(held, clock, lambda activity: None)

    return run


def test_the_function_gets_the_value_and_its_result_is_masked(ran: Ran) -> None:
    seen: list[str] = []
    outcome = ran(lambda value: seen.append(value) or {"got": value, "list": [f"<{value}>"]})
    assert seen == [VALUE]
    assert json.loads(outcome.result) == {"got": "***", "list": ["<***>"]}


def test_a_result_that_is_not_json_is_masked(ran: Ran) -> None:
    assert json.loads(ran(lambda value: {1, value} and float("nan")).result) == "nan"
    assert json.loads(ran(lambda value: {(value,): 1}).result) == "{('***',): 1}"


def test_what_is_printed_is_masked_also_in_pieces_and_from_a_thread(ran: Ran) -> None:
    def speak(value: str) -> None:
        sys.stdout.write(f"one {value[:6]}")
        sys.stderr.write(f"{value[6:]} two\n")
        thread = threading.Thread(target=print, args=(value,))
        thread.start()
        thread.join()
        sys.stdout.write(value[:3])

    assert ran(speak).output == "one *** two\n***\nhun"


def test_an_error_and_its_traceback_are_masked(ran: Ran) -> None:
    def fail(value: str) -> None:
        try:
            raise KeyError(value)
        except KeyError as error:
            raise RuntimeError(f"no {value}") from error

    outcome = ran(fail)
    assert (outcome.status, outcome.error) == (RunStatus.FAILED, "RuntimeError: no ***")
    assert VALUE not in outcome.traceback
    assert "KeyError: '***'" in outcome.traceback


def test_what_is_logged_is_masked_for_every_handler(ran: Ran, caplog: pytest.LogCaptureFixture) -> None:
    def log(value: str) -> None:
        try:
            raise ValueError(value)
        except ValueError:
            logging.getLogger("shop").exception("value %s", value)

    outcome = ran(log)
    (record,) = (record for record in caplog.records if record.name == "shop")
    for shown in (outcome.output, record.getMessage(), caplog.text):
        assert VALUE not in shown
        assert "***" in shown


def test_an_unknown_secret_fails_the_run_and_is_named(ran: Ran) -> None:
    outcome = ran(lambda value: None, name="nope")
    assert outcome.status is RunStatus.FAILED
    assert "there is no secret 'nope'" in outcome.error


def test_the_own_check_of_the_function_sees_the_value_before_the_call(ran: Ran) -> None:
    def refuse(value: str) -> None:
        raise ValueError(f"{value} is refused")

    outcome = ran(lambda value: pytest.fail("it was called"), refuse)
    assert outcome.status is RunStatus.FAILED
    assert "*** is refused" in outcome.error


def test_a_thread_that_outlives_its_run_writes_no_secret(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    go, threads = threading.Event(), []

    def leave(value: str) -> None:
        threads.append(threading.Thread(target=lambda: (go.wait(60), print(value))))
        threads[0].start()

    with capture_installed():
        ran(leave)
        go.set()
        threads[0].join()
    assert capsys.readouterr().out == "***\n"


def test_a_worker_gets_the_values_and_what_to_mask(ran: Ran) -> None:
    run, hidden = runner.with_secrets(held_run(kwargs={"a": [{"$secret": "crm"}]}))
    assert messages.decode_run(messages.encode_run(run, hidden, "mark").decode()) == (run, [VALUE], "mark")
    assert run.kwargs == {"a": [VALUE]}


def test_a_run_without_secrets_stays_as_it_is() -> None:
    for fields in ({}, {"args": [1, {"a": 2}]}, {"args": "damaged", "kwargs": "damaged"}):
        run = held_run(**fields)
        assert runner.with_secrets(run) == (run, [])
        assert runner.with_secrets(run)[0] is run


def test_the_size_of_an_output_counts_what_is_kept() -> None:
    output = Output()
    output.hide([VALUE])
    output.write(f"a{VALUE}b")
    assert (output.end().text, output.size) == ("a***b", 5)
