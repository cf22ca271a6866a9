"""Every error under /api and /scheduler has the envelope."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db import (
    DatabaseError,
    DataError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    connection,
    transaction,
)  # fmt: skip
from django.http import Http404
from gunicorn.http.errors import InvalidChunkSize
from rest_framework import exceptions

from jobs import services
from jobs.api.errors import STATUSES, envelope, status_of
from jobs.core.exceptions import CronzimusError
from jobs.db.errors import lacks_characters
from tests.fakes import make_job, make_run

from .api_client import Api
from .conftest import failing_database

ALLOWED = {
    "/scheduler/jobs": {"GET", "HEAD", "POST"},
    "/scheduler/jobs/job": {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    "/scheduler/jobs/job/pause": {"POST"},
    "/scheduler/jobs/job/resume": {"POST"},
    "/scheduler/jobs/job/run": {"POST"},
    "/scheduler/jobs/job/skip": {"POST"},
    "/scheduler/runs/1/cancel": {"POST"},
    "/scheduler/runs/1/retry": {"POST"},
    "/scheduler": {"GET", "HEAD"},
    "/scheduler/pause": {"POST"},
    "/scheduler/resume": {"POST"},
    "/scheduler/jobs/job/runs": {"GET", "HEAD"},
    "/scheduler/runs": {"GET", "HEAD"},
    "/scheduler/runs/1": {"GET", "HEAD"},
    "/scheduler/runs/1/log": {"GET", "HEAD"},
    "/scheduler/preview": {"POST"},
    "/scheduler/functions": {"GET", "HEAD"},
    "/api/health": {"GET", "HEAD"},
    "/api/health/ready": {"GET", "HEAD"},
    "/api/health/live": {"GET", "HEAD"},
}
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"}
UNKNOWN = [
    "/api", "/api/", "/api/nope", "/api/health/", "/api/health/ready/", "/api/schema/", "/api/docs/",
    "/scheduler/", "/scheduler/nope", "/scheduler/jobs/", "/scheduler/runs/", "/scheduler/pause/",
    "/scheduler/resume/x", "/scheduler/preview/",
    "/scheduler/jobs/job/", "/scheduler/jobs/job/nope", "/scheduler/jobs/job/pause/", "/scheduler/runs/1/cancel/",
    "/scheduler/runs/1/retry/", "/scheduler/runs/1/", "/scheduler/%00", "/scheduler/%F0%9F%98%80", "/api/%FF",
]  # fmt: skip


@pytest.mark.parametrize("path", ALLOWED)
def test_a_method_that_a_route_lacks(api: Api, path: str) -> None:
    make_job()
    make_run(id=1)
    for method in METHODS - ALLOWED[path]:
        response = api.call(method, path)
        assert response.status_code == 405, method
        assert method == "HEAD" or response.json()["code"] == "METHOD_NOT_ALLOWED"
        assert set(response["Allow"].split(", ")) == ALLOWED[path]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_route(api: Api, settings: Any, path: str, debug: bool) -> None:
    settings.DEBUG = debug
    make_job()
    make_run(id=1)
    for method in ("GET", "POST", "DELETE"):
        assert api.refused(method, path)[:2] == (404, "NOT_FOUND")


def test_outside_of_the_api_pages_stay_pages(api: Api) -> None:
    response = api.client.get("/nope")
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert api.client.get("/apis")["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    "path",
    ["/scheduler/jobs", "/scheduler/jobs/job", "/scheduler/jobs/nope", "/scheduler/runs/1", "/scheduler/preview"],
)
def test_without_the_scheduler_api_nothing_is_there(api: Api, settings: Any, path: str) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"SCHEDULER_API_ENABLED": False}
    make_job()
    for auth in ("none", "token"):
        settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": auth}
        assert api.refused("GET", path) == (404, "NOT_FOUND", set())
    settings.CRONZIMUS = settings.CRONZIMUS | {"SCHEDULER_API_ENABLED": True}


@pytest.mark.parametrize(
    "path", ["/scheduler/jobs/", "/scheduler/jobs/job/", "/scheduler/runs/", "/api/health/", "/api/"]
)
def test_an_address_that_ends_in_a_slash_says_so(api: Api, path: str) -> None:
    make_job()
    response = api.call("GET", path)
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
    assert response.json()["error"].endswith("no address of the API ends in a slash.")


@pytest.mark.parametrize("debug", [True, False])
def test_a_wrong_host(api: Api, settings: Any, debug: bool) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, ["good.example"]
    assert api.refused("GET", "/scheduler/jobs", host="evil.example") == (400, "INVALID_REQUEST", set())


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (OperationalError("secret"), 503, "UNAVAILABLE"),
        (InterfaceError("secret"), 503, "UNAVAILABLE"),
        (DatabaseError("file is not a database"), 503, "UNAVAILABLE"),
        (OperationalError("attempt to write a readonly database"), 503, "UNAVAILABLE"),
        (OperationalError("database or disk is full"), 503, "UNAVAILABLE"),
        (DataError("secret"), 500, "INTERNAL_ERROR"),
        (ValueError("secret"), 500, "INTERNAL_ERROR"),
        (KeyError("secret"), 500, "INTERNAL_ERROR"),
        (RecursionError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
def test_a_crash_is_logged_and_its_message_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: pytest.LogCaptureFixture,
    error: Exception, status: int, code: str, debug: bool,
) -> None:  # fmt: skip
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    settings.DEBUG = debug
    monkeypatch.setattr(services, "pause_job", fail)
    with caplog.at_level(logging.ERROR, "cronzimus.api.errors"):
        response = api.call("POST", "/scheduler/jobs/job/pause")
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert b"secret" not in response.content
    assert (response.get("Retry-After") == "5") is (status == 503)
    (record,) = [record for record in caplog.records if record.name == "cronzimus.api.errors"]
    if status == 503:
        assert (record.exc_info, record.getMessage()) == (None, f"POST '/scheduler/jobs/job/pause' failed: {error}")
    else:
        assert record.exc_info
        assert record.exc_info[1] is error


@pytest.mark.parametrize("debug", [True, False])
def test_a_crash_of_the_middleware(
    api: Api, settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("secret")

    settings.DEBUG = debug
    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)
    response = api.call("GET", "/scheduler/jobs")
    expected = (500, "INTERNAL_ERROR") if debug else (503, "UNAVAILABLE")
    assert (response.status_code, response.json()["code"]) == expected
    assert b"secret" not in response.content
    if not debug:
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert lines == ["GET '/scheduler/jobs' failed: secret"]


def test_too_many_parameters(api: Api) -> None:
    query = "&".join(f"a{number}=1" for number in range(2000))
    assert api.refused("GET", f"/scheduler/jobs?{query}")[:2] == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Http404(), 404), (PermissionDenied(), 403), (SuspiciousOperation(), 400), (exceptions.NotFound(), 404),
        (exceptions.PermissionDenied(), 403), (exceptions.Throttled(3), 429), (exceptions.ParseError(), 400),
        (ImproperlyConfigured(), 500), (CronzimusError(), 400),
    ],
)  # fmt: skip
def test_the_status_of_exceptions(error: Exception, status: int) -> None:
    assert status_of(error) == status
    assert envelope(status)["code"]


def test_every_error_of_cronzimus_has_a_status_and_a_code_of_its_own() -> None:
    kinds = [CronzimusError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(set(kinds))
    assert all(status_of(kind()) < 500 for kind in kinds)
    assert all(issubclass(kind, Exception) for kind in STATUSES)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "", "image/png;q=0.1", "\x00"])
def test_the_answer_is_json_whatever_is_accepted(api: Api, accept: str) -> None:
    make_job()
    assert len(api.get("/scheduler/jobs", accept=accept)) == 1
    assert api.refused("GET", "/scheduler/jobs/nope", accept=accept)[:2] == (404, "JOB_NOT_FOUND")


NO_DATABASE = ("/scheduler/functions", "/api/health/live")
"""Answers that need no database."""
GETS = [path for path, methods in ALLOWED.items() if "GET" in methods and path not in NO_DATABASE]


@pytest.mark.parametrize("path", GETS)
def test_the_database_gone_and_back_is_one_line_of_the_log_each(
    api: Api, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_job()
    make_run(id=1)
    usual = api.call("GET", path).status_code
    caplog.clear()
    with failing_database(OperationalError("connection refused: secret\n\tIs the server running?")):
        response = api.call("GET", path)
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == f"GET '{path}' failed: connection refused: secret Is the server running?"
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "UNAVAILABLE", "5")
    assert b"secret" not in response.content
    assert api.call("GET", path).status_code == usual


@pytest.mark.usefixtures("postgresql_only")
@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_no_writes_is_said_in_one_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        caplog.clear()
        answer = api.call("POST", "/scheduler/jobs/job/run")
        assert (answer.status_code, answer.json()["error"]) == (
            503,
            "The database takes no writes now; try again soon.",
        )
        (line,) = (record.getMessage() for record in caplog.records)
        assert "in a read-only transaction" in line
        assert api.call("GET", "/scheduler/jobs").status_code == 200
    finally:
        connection.close()


@pytest.mark.usefixtures("postgresql_only")
def test_a_character_that_the_database_lacks_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def add_job(*args: Any, **kwargs: Any) -> None:
        # The error of a database with this encoding.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT convert_to('€', 'LATIN1')")

    monkeypatch.setattr(services, "add_job", add_job)
    answer = api.call("POST", "/scheduler/jobs", {"id": "job", "func": "tests:echo", "trigger": "interval", "hours": 1})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "The request has a character that the database cannot store, because its encoding is not UTF-8.",
        "code": "INVALID_REQUEST",
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotSupportedError("conversion between UTF8 and SQL_ASCII is not supported"), True),
        (NotSupportedError("something else"), False),
        (DataError("value too long"), False),
        (ValueError("SQL_ASCII"), False),
    ],
)
def test_errors_of_the_encoding_are_told_from_others(error: Exception, expected: bool) -> None:
    assert lacks_characters(error) is expected


def test_the_body_of_a_refused_request_is_taken_from_the_client(api: Api) -> None:
    size = 3 * 1024 * 1024
    body = BytesIO(b"x" * size)
    environ = {"wsgi.input": body, "CONTENT_LENGTH": str(size), "CONTENT_TYPE": "application/json"}
    response = api.client.generic("POST", "/scheduler/jobs", **environ)  # type: ignore[arg-type]
    assert response.status_code == 413
    assert body.tell() == size


def test_a_body_in_chunks_of_which_the_server_does_not_know_the_end_is_refused(api: Api) -> None:
    make_job()
    for path in ("/scheduler/jobs", "/scheduler/jobs/job/run"):
        assert api.refused("POST", path, transfer_encoding="chunked") == (400, "INVALID_REQUEST", set())


def send_in_chunks(api: Api, body: bytes, stream: Any = None) -> Any:
    """Send a body without a length, as gunicorn hands it on."""
    environ = {
        "wsgi.input": stream or BytesIO(body), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "",
    }  # fmt: skip
    return api.client.generic("POST", "/scheduler/jobs", **environ)  # type: ignore[arg-type]


def test_a_body_in_chunks_is_read(api: Api) -> None:
    body = b'{"id": "job", "func": "tests:echo", "trigger": "interval", "seconds": 5}'
    assert send_in_chunks(api, body).json() == {"id": "job", "status": "added"}


def test_a_body_in_chunks_may_not_be_larger_than_another(api: Api) -> None:
    stream = BytesIO(b" " * 3 * 1024 * 1024)
    response = send_in_chunks(api, b"", stream)
    assert (response.status_code, response.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert stream.tell() == 3 * 1024 * 1024


@pytest.mark.parametrize("error", [OSError("the client is gone"), InvalidChunkSize(b"zz")], ids=["early", "chunk"])
def test_a_body_that_cannot_be_read_is_refused(api: Api, error: Exception) -> None:
    class Broken(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise error

    response = send_in_chunks(api, b"", Broken())
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
