"""The lines of the product's log."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from cronzimus_site.logs import MAX_CHARACTERS, RequestFields, ShortRefusals, ShortValues, formatter
from jobs.calls.output import capture_installed, captured
from jobs.core import log_context
from jobs.core.log_context import AddContext
from tests.fakes import held_run


def line(*args: object) -> str:
    record = logging.LogRecord("django.request", logging.WARNING, "", 1, "%s: %s", args, None)
    assert ShortValues().filter(record)
    return record.getMessage()


def test_a_long_value_is_cut() -> None:
    assert line("Not Found", "/" + "x" * 5000) == f"Not Found: /{'x' * (MAX_CHARACTERS - 1)}… (5,001 characters)"


def test_a_suspicious_request_is_one_short_line() -> None:
    try:
        raise ValueError("no such host")
    except ValueError:
        message = f"Invalid HTTP_HOST header: {'x' * 5000!r}"
        record = logging.LogRecord(
            "django.security.DisallowedHost", logging.ERROR, "", 1, message, None, sys.exc_info()
        )
    assert ShortRefusals().filter(record)
    assert "\n" not in logging.Formatter().format(record)
    assert len(logging.Formatter().format(record)) < MAX_CHARACTERS + 30


def test_a_request_that_lacks_a_permission_is_one_line() -> None:
    try:
        raise PermissionDenied("It takes the permission change_token.")
    except PermissionDenied:
        message, values = "Forbidden (Permission denied): %s", ("/admin/",)
        record = logging.LogRecord("django.request", logging.WARNING, "", 1, message, values, sys.exc_info())
    record.status_code = 403
    assert ShortRefusals().filter(record)
    assert logging.Formatter().format(record) == "Forbidden (Permission denied): /admin/"


def test_a_crash_keeps_its_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("django.request", logging.ERROR, "", 1, "Crash", None, sys.exc_info())
    record.status_code = 500
    assert ShortRefusals().filter(record)
    assert "ValueError: no" in logging.Formatter().format(record)


def test_other_values_stay_as_they_are() -> None:
    assert line("x" * MAX_CHARACTERS, 10**400) == f"{'x' * MAX_CHARACTERS}: {10**400}"


def test_a_line_without_values_stays_as_it_is() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "started", None, None)
    assert ShortValues().filter(record)
    assert record.getMessage() == "started"


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """A logger whose lines are JSON with their context; `lines` reads them."""
    monkeypatch.setattr(log_context, "_of_process", {})  # a test of schedulers may have named one
    dictionary = formatter("json")
    made = logging.config.DictConfigurator({}).configure_formatter(dictionary)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(made)
    handler.addFilter(AddContext())
    logger = logging.getLogger("test.json")
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def lines(logger: logging.Logger) -> list[dict[str, Any]]:
    stream = logger.handlers[0].stream  # type: ignore[attr-defined]
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_a_json_line_has_time_level_logger_and_message(logger: logging.Logger) -> None:
    logger.warning("late by %d s", 5)
    (found,) = lines(logger)
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "WARNING", "logger": "test.json", "message": "late by 5 s"}


def test_a_json_line_has_the_fields_that_the_code_adds(logger: logging.Logger) -> None:
    logger.warning("x", extra={"action": "run_queued", "run": 7})
    (found,) = lines(logger)
    assert (found["action"], found["run"]) == ("run_queued", 7)


def test_an_exception_is_one_field_of_one_line(logger: logging.Logger) -> None:
    try:
        raise ValueError("no\nsuch thing")
    except ValueError:
        logger.exception("failed")
    (found,) = lines(logger)
    assert found["exception"].startswith("Traceback")


@pytest.mark.parametrize(
    "value",
    ["\udc80", "line\u2028break", object(), b"\xff", {1, 2}],
    ids=["surrogate", "separator", "object", "bytes", "set"],
)
def test_any_value_can_be_logged(logger: logging.Logger, value: Any) -> None:
    logger.warning("x", extra={"value": value})  # not in the message: pytest's processes send each other that
    assert len(lines(logger)) == 1


def test_the_object_of_a_request_is_left_out(logger: logging.Logger) -> None:
    logger.warning("Not Found", extra={"request": object(), "status_code": 404})
    (found,) = lines(logger)
    assert "request" not in found
    assert found["status_code"] == 404


def test_what_a_function_logs_has_its_run_and_job(logger: logging.Logger) -> None:
    with capture_installed(), captured(held_run(7, job_id="report")):
        logger.warning("x")
    (found,) = lines(logger)
    assert (found["run"], found["job"]) == (7, "report")


def test_what_a_thread_of_a_function_logs_has_its_run(logger: logging.Logger) -> None:
    with capture_installed(), captured(held_run(7)):
        thread = threading.Thread(target=logger.warning, args=["x"])
        thread.start()
        thread.join()
    (found,) = lines(logger)
    assert found["run"] == 7


def test_between_runs_lines_have_no_run(logger: logging.Logger) -> None:
    with capture_installed():
        with captured(held_run(7)):
            pass
        logger.warning("x")
    (found,) = lines(logger)
    assert "run" not in found


def test_the_scheduler_is_in_all_lines_of_its_process(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_context, "_of_process", {})
    log_context.set_for_process(scheduler="host-1")
    logger.warning("x")
    (found,) = lines(logger)
    assert found["scheduler"] == "host-1"


def test_what_a_line_says_of_itself_stays(logger: logging.Logger) -> None:
    with capture_installed(), captured(held_run(7)):
        logger.warning("x", extra={"run": 8})
    (found,) = lines(logger)
    assert found["run"] == 8


# --- gunicorn's own lines --------------------------------------------------------------------------------------------


class Atoms(dict[str, Any]):
    """The values of an access line, as gunicorn hands them over."""

    def __missing__(self, name: str) -> str:
        return "-"


def access_line(**atoms: Any) -> dict[str, Any]:
    values = Atoms({"h": "10.0.0.7", "m": "GET", "U": "/x", "s": "200", "L": "0.012000", **atoms})
    record = logging.LogRecord("gunicorn.access", logging.INFO, "", 1, '%(m)s "%(U)s" %(s)s', (values,), None)
    assert RequestFields().filter(record)
    made = logging.config.DictConfigurator({}).configure_formatter(formatter("json"))
    return dict(json.loads(made.format(record)))


def test_an_access_line_has_its_parts_as_fields() -> None:
    shown = access_line(**{"{x-request-id}o": "r1"})
    assert shown["message"] == 'GET "/x" 200'
    expected = {
        "request_id": "r1",
        "address": "10.0.0.7",
        "method": "GET",
        "path": "/x",
        "status": 200,
        "seconds": 0.012,
    }
    assert {name: shown[name] for name in expected} == expected


def test_an_access_line_leaves_out_what_is_not_known() -> None:
    shown = access_line(U=None)
    assert "request_id" not in shown
    assert "path" not in shown
