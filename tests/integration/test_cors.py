"""Pages of the origins in CORS_ALLOWED_ORIGINS can use the API with a token."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobs.models import Job
from tests.fakes import make_job, make_token

from .api_client import Api

ORIGIN = "https://app.example.com"
SENT = "authorization, content-type, idempotency-key, if-match, if-none-match, traceparent, tracestate, x-request-id"
READ = {"ETag", "Retry-After", "Idempotency-Replayed", "Link", "X-Request-ID", "X-Total-Count"}
ROUTES = [
    ("POST", "/scheduler/jobs"), ("PUT", "/scheduler/jobs/job"), ("PATCH", "/scheduler/jobs/job"),
    ("DELETE", "/scheduler/jobs/job"), ("GET", "/scheduler"), ("GET", "/api/health"), ("GET", "/metrics"),
]  # fmt: skip


@pytest.fixture
def named(api: Api, settings: Any) -> Api:
    """The API asks for tokens, and pages of `ORIGIN` may use it."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    return Api()


def preflight(method: str, path: str, origin: str = ORIGIN, headers: str = SENT) -> Any:
    """Return the answer to a browser's preflight request, which has no token."""
    asked = {"access-control-request-method": method, "access-control-request-headers": headers}
    return Client().options(path, headers={"origin": origin, **asked})


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_browser_may_send_each_request_with_the_headers_of_the_api(method: str, path: str) -> None:
    answer = preflight(method, path)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == ORIGIN
    assert method in answer["Access-Control-Allow-Methods"].split(", ")
    assert set(SENT.split(", ")) <= set(answer["Access-Control-Allow-Headers"].split(", "))


def test_a_page_with_a_token_writes_and_reads(named: Api) -> None:
    token = make_token()
    body = {"id": "new", "func": "tests:record", "trigger": "interval", "hours": 1}
    for replayed in (None, "true"):
        headers = {"origin": ORIGIN, "authorization": token, "idempotency-key": "one"}
        answer = named.call("POST", "/scheduler/jobs", body, **headers)
        assert answer.status_code == 200
        assert answer.get("Idempotency-Replayed") == replayed
        assert answer["Access-Control-Allow-Origin"] == ORIGIN
        assert set(answer["Access-Control-Expose-Headers"].split(", ")) >= READ
    assert Job.objects.get().id == "new"


@pytest.mark.parametrize(("path", "status"), [("/scheduler/jobs", 401), ("/scheduler/nothing", 404)])
def test_a_page_can_read_errors(named: Api, path: str, status: int) -> None:
    answer = named.call("GET", path, origin=ORIGIN)
    assert answer.status_code == status
    assert answer["Access-Control-Allow-Origin"] == ORIGIN


def test_an_unchanged_answer_can_be_read_too(named: Api) -> None:
    make_job()
    headers = {"origin": ORIGIN, "authorization": make_token()}
    first = named.call("GET", "/scheduler/jobs/job", **headers)
    again = named.client.get("/scheduler/jobs/job", headers={**headers, "if-none-match": first["ETag"]})
    assert again.status_code == 304
    assert again["Access-Control-Allow-Origin"] == ORIGIN
    assert "origin" in first["Vary"].lower()


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "http://app.example.com", "https://app.example.com:8443", "null"]
)
def test_other_origins_are_told_nothing(named: Api, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in preflight("POST", "/scheduler/jobs", origin)
    assert "Access-Control-Allow-Origin" not in named.call("GET", "/api/health", origin=origin)


@pytest.mark.usefixtures("named")
def test_the_admin_is_closed_to_other_origins() -> None:
    assert "Access-Control-Allow-Origin" not in preflight("POST", "/admin/cronzimus/job/add/")


@pytest.mark.usefixtures("named")
def test_no_cookies_are_asked_for() -> None:
    assert "Access-Control-Allow-Credentials" not in preflight("POST", "/scheduler/jobs")


def test_a_named_origin_may_use_the_open_api(named: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "none"}
    headers = {"origin": ORIGIN, "sec-fetch-site": "cross-site"}
    assert named.call("GET", "/scheduler/jobs", **headers).status_code == 200
    headers["origin"] = "https://evil.example.com"
    assert named.call("GET", "/scheduler/jobs", **headers).status_code == 403


def test_without_the_setting_a_preflight_is_answered_as_any_request(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    answer = preflight("POST", "/scheduler/jobs")
    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer
