"""Who may use the API: tokens, and the two ways in which it is open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory
from knox.models import AuthToken

from jobs.api.authentication import is_open
from jobs.models import Job
from tests.fakes import make_job, make_run

from .api_client import Api

ROUTES = [
    ("GET", "/scheduler/jobs"), ("POST", "/scheduler/jobs"), ("GET", "/scheduler/jobs/job"),
    ("PUT", "/scheduler/jobs/job"), ("PATCH", "/scheduler/jobs/job"), ("DELETE", "/scheduler/jobs/job"),
    ("POST", "/scheduler/jobs/job/pause"), ("POST", "/scheduler/jobs/job/skip"), ("GET", "/scheduler"),
    ("POST", "/scheduler/pause"), ("POST", "/scheduler/resume"), ("POST", "/scheduler/runs/1/cancel"),
    ("POST", "/scheduler/runs/1/retry"),
    ("POST", "/scheduler/jobs/job/resume"), ("POST", "/scheduler/jobs/job/run"), ("GET", "/scheduler/jobs/job/runs"),
    ("GET", "/scheduler/jobs/nope"), ("GET", "/scheduler/jobs/job/x"), ("GET", "/scheduler/runs"),
    ("GET", "/scheduler/runs/1"), ("GET", "/scheduler/runs/1/log"), ("POST", "/scheduler/preview"),
    ("GET", "/scheduler/functions"), ("GET", "/api/health/ready"),
]  # fmt: skip
BAD = [
    None, "", "Token", "Token ", "Token x", "Token  x y", "Bearer x", "Basic eDp5", "Token \x00", "Token é",
    "Token \xff", "Token " + "x" * 5000, "x",
]  # fmt: skip


@pytest.fixture
def token(api: Api, settings: Any, django_user_model: Any) -> str:
    """The header of a valid token, which is asked for."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    return f"Token {AuthToken.objects.create(django_user_model.objects.create_user('anna'))[1]}"


def refused(api: Api, method: str, path: str, authorization: str | None) -> bool:
    """Tell whether a request is answered with 401, and as it should be."""
    headers = {} if authorization is None else {"authorization": authorization}
    response = api.call(method, path, {}, **headers)
    if response.status_code != 401:
        return False
    assert response.json()["code"] == "UNAUTHORIZED"
    assert response["WWW-Authenticate"] == "Token"
    return True


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_asks_for_a_token_and_takes_a_valid_one(api: Api, token: str, method: str, path: str) -> None:
    make_job()
    make_run(id=1)
    before = Job.objects.values().get()
    for authorization in (None, f"{token}x"):
        assert refused(api, method, path, authorization)
    assert Job.objects.values().get() == before
    assert not refused(api, method, path, token)


@pytest.mark.parametrize("authorization", BAD)
def test_a_token_that_is_none_is_refused(api: Api, token: str, authorization: str | None) -> None:
    assert refused(api, "GET", "/scheduler/jobs", authorization)


def test_a_token_that_expired_is_refused(api: Api, token: str) -> None:
    AuthToken.objects.update(expiry="2020-01-01T00:00:00Z")
    assert refused(api, "GET", "/scheduler/jobs", token)


def test_a_token_of_a_user_who_may_not_log_in_is_refused(api: Api, token: str, django_user_model: Any) -> None:
    django_user_model.objects.update(is_active=False)
    assert refused(api, "GET", "/scheduler/jobs", token)


def test_a_token_that_expires_later_is_taken(api: Api, settings: Any, django_user_model: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    user = django_user_model.objects.create_user("anna")
    assert not refused(api, "GET", "/scheduler/jobs", f"Token {AuthToken.objects.create(user, timedelta(hours=1))[1]}")


@pytest.mark.parametrize(
    ("mode", "debug", "environ", "is_it"),
    [
        ("none", False, {"REMOTE_ADDR": "203.0.113.7"}, True),
        ("token", True, {"REMOTE_ADDR": "127.0.0.1"}, False),
        ("", False, {"REMOTE_ADDR": "127.0.0.1"}, False),
        ("", True, {"REMOTE_ADDR": "127.0.0.1"}, True),
        ("", True, {"REMOTE_ADDR": "127.8.0.1"}, True),
        ("", True, {"REMOTE_ADDR": "::1"}, True),
        ("", True, {"REMOTE_ADDR": "::ffff:127.0.0.1"}, True),
        ("", True, {"REMOTE_ADDR": "203.0.113.7"}, False),
        ("", True, {"REMOTE_ADDR": "::ffff:203.0.113.7"}, False),
        ("", True, {"REMOTE_ADDR": ""}, False),
        ("", True, {"REMOTE_ADDR": "unix:"}, False),
        ("", True, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, False),
        ("", True, {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=203.0.113.7"}, False),
    ],
)
def test_it_is_open_where_that_is_said_and_to_a_developers_own_machine(
    settings: Any, mode: str, debug: bool, environ: dict[str, str], is_it: bool
) -> None:
    settings.CRONZIMUS, settings.DEBUG = settings.CRONZIMUS | {"API_AUTH": mode}, debug
    assert is_open(RequestFactory().get("/", **environ)) is is_it  # type: ignore[arg-type]


def test_the_default_asks_for_a_token_on_a_server(api: Api, settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": ""}
    assert refused(api, "GET", "/scheduler/jobs", None)
    settings.DEBUG = True
    assert not refused(api, "GET", "/scheduler/jobs", None)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://testserver:8000"}, {"origin": ""},
        {"origin": "http://testserver.evil.example"}, {"origin": "http://[::1"}, {"sec-fetch-site": "cross-site"},
        {"origin": "http://testserver", "sec-fetch-site": "cross-site"},
    ],
)  # fmt: skip
def test_pages_of_other_sites_are_refused_while_it_is_open(api: Api, headers: dict[str, str]) -> None:
    make_job()
    for method, path in (
        ("POST", "/scheduler/jobs/job/pause"),
        ("DELETE", "/scheduler/jobs/job"),
        ("GET", "/scheduler/jobs"),
    ):
        assert api.refused(method, path, **headers)[:2] == (403, "PERMISSION_DENIED")
    assert not Job.objects.get().paused


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://testserver"}, {"origin": "https://TESTSERVER"}, {"sec-fetch-site": "same-origin"},
     {"sec-fetch-site": "none"}],
)  # fmt: skip
def test_pages_of_its_own_are_not_refused(api: Api, headers: dict[str, str]) -> None:
    make_job()
    assert api.call("POST", "/scheduler/jobs/job/pause", **headers).status_code == 200


def test_with_a_token_it_does_not_matter_which_page_sends_it(api: Api, token: str) -> None:
    response = api.call("GET", "/scheduler/jobs", authorization=token, origin="https://dashboard.example")
    assert response.status_code == 200


def test_a_session_of_the_admin_is_no_token(api: Api, token: str, admin_user: Any) -> None:
    api.client.force_login(admin_user)
    assert refused(api, "POST", "/scheduler/jobs", None)
