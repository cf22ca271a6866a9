"""Authentication of the API: tokens, browser sessions, and the two ways in which it is open."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.test import Client, RequestFactory

from jobs.api.authentication import is_open
from jobs.models import Job, Token
from jobs.services import tokens
from tests.fakes import NOW, FakeClock, after, make_job, make_run, make_token, make_user

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
    ("GET", "/scheduler/functions"),
]  # fmt: skip
BAD = [
    None, "", "Token", "Token ", "Token x", "Token  x y", "Bearer x", "Basic eDp5", "Token \x00", "Token é",
    "Token \xff", "Token " + "x" * 5000, "x", "Token czm_", "Token czm_" + "x" * 43, "Token czm_" + "x" * 44,
    "czm_" + "x" * 43,
]  # fmt: skip


@pytest.fixture
def closed(api: Api, settings: Any) -> None:
    """The API asks for credentials."""
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}


@pytest.fixture
def token(closed: None) -> str:
    """The header of a valid token of a user who may do everything."""
    return make_token()


def refused(api: Api, method: str, path: str, authorization: str | None) -> bool:
    """Tell whether a request gets a correct 401."""
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


def test_a_token_expires(api: Api, closed: None, clock: FakeClock) -> None:
    token = make_token(expires_at=after(10))
    clock.advance(9.999)
    assert not refused(api, "GET", "/scheduler/jobs", token)
    clock.advance(0.001)
    assert refused(api, "GET", "/scheduler/jobs", token)


def test_a_token_of_a_user_who_may_not_log_in_is_refused(api: Api, token: str, django_user_model: Any) -> None:
    django_user_model.objects.update(is_active=False)
    assert refused(api, "GET", "/scheduler/jobs", token)


def test_a_token_that_was_revoked_is_refused(api: Api, token: str) -> None:
    Token.objects.all().delete()
    assert refused(api, "GET", "/scheduler/jobs", token)


@pytest.mark.parametrize("scheme", ["Token", "token", "Bearer", "BEARER"])
def test_the_scheme_is_token_or_bearer(api: Api, token: str, scheme: str) -> None:
    assert not refused(api, "GET", "/scheduler/jobs", f"{scheme}  {token.removeprefix('Token ')} ")


@pytest.mark.parametrize("wrong", ["czm_" + "x" * 43, None])
def test_a_wrong_token_costs_the_same_statements_as_a_right_one(
    api: Api, token: str, statements: Callable[[], Any], wrong: str | None
) -> None:
    Token.objects.update(last_used_at=NOW)
    secret = wrong or token.removeprefix("Token ")
    with statements() as sent:
        tokens.find_token(secret, now=NOW)
    assert len(sent) == 1


def test_the_secret_is_not_kept(token: str) -> None:
    secret = token.removeprefix("Token ")
    kept = Token.objects.values().get()
    assert secret.startswith(kept["prefix"])
    assert not [value for value in kept.values() if secret[len(kept["prefix"]) :] in str(value)]


def test_the_last_use_is_written_once_a_minute(api: Api, token: str, clock: FakeClock) -> None:
    noted = []
    for seconds in (0, 59, 1, 30):
        clock.advance(seconds)
        api.call("GET", "/scheduler/jobs", authorization=token)
        noted.append(Token.objects.get().last_used_at)
    assert noted == [NOW, NOW, after(60), after(60)]


def test_a_request_does_not_fail_because_its_tokens_use_cannot_be_written(
    api: Api, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", fail)
    assert api.call("GET", "/scheduler/jobs", authorization=token).status_code == 200


@pytest.mark.parametrize(("column", "value"), [("scopes", "x"), ("scopes", {"admin": 1}), ("tags", "x"), ("tags", {})])
def test_a_damaged_token_may_do_nothing(api: Api, token: str, column: str, value: Any) -> None:
    make_job()
    Token.objects.update(**{column: value})
    assert api.call("DELETE", "/scheduler/jobs/job", authorization=token).status_code in (403, 404)
    assert Job.objects.exists()


def test_each_failed_authentication_is_one_line_of_the_log(
    api: Api, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    with caplog.at_level(logging.INFO, "cronzimus"):
        refused(api, "GET", "/scheduler/jobs", wrong)
        refused(api, "POST", "/scheduler/jobs/" + "x" * 5000, "Token not-one\nof ours")
    first, second = (record.getMessage() for record in caplog.records if record.name == "cronzimus.api.authentication")
    assert first == f"authentication failed: token {wrong[6:18]}… from 127.0.0.1, GET '/scheduler/jobs'"
    assert second.startswith("authentication failed: token (not one of ours) from 127.0.0.1, POST '/scheduler/jobs/xxx")
    assert len(second) < 350
    assert "\n" not in first + second


def test_the_log_names_the_client_that_a_proxy_names(api: Api, closed: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cronzimus"):
        api.call("GET", "/scheduler/jobs", authorization="Token x", **{"x-forwarded-for": "203.0.113.7\r\nforged"})
    assert "from 127.0.0.1 for '203.0.113.7\\r\\nforged'," in caplog.text


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
        *(
            ("", True, {"REMOTE_ADDR": "127.0.0.1", f"HTTP_{name}": "x"}, False)
            for name in (
                "FORWARDED",
                "VIA",
                "X_FORWARDED_FOR",
                "X_FORWARDED_HOST",
                "X_FORWARDED_PROTO",
                "X_FORWARDED_PORT",
                "X_FORWARDED_SERVER",
                "X_FORWARDED_PREFIX",
                "X_FORWARDED",
                "X_REAL_IP",
                "X_CLIENT_IP",
                "CLIENT_IP",
                "TRUE_CLIENT_IP",
                "CF_CONNECTING_IP",
                "X_ORIGINAL_URL",
                "X_CLUSTER_CLIENT_IP",
                "X_ENVOY_PEER_METADATA",
                "X_AMZN_TRACE_ID",
                "FASTLY_CLIENT_IP",
                "CDN_LOOP",
                "X_REMOTE_IP",
                "X_REMOTE_ADDR",
                "X_ORIGINATING_IP",
                "X_HOST",
                "X_SCHEME",
                "X_REWRITE_URL",
                "X_APPENGINE_USER_IP",
                "X_PROXYUSER_IP",
            )
        ),
        ("", True, {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REQUESTED_WITH": "fetch", "HTTP_ACCEPT": "*/*"}, True),
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


@pytest.mark.parametrize("debug", [True, False])
def test_a_token_counts_where_the_api_is_open_too(api: Api, settings: Any, debug: bool) -> None:
    settings.DEBUG = debug
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "" if debug else "none"}
    make_job()
    viewer = make_token(make_user("vera", role="viewer"))
    assert api.call("DELETE", "/scheduler/jobs/job", authorization=viewer).status_code == 403
    assert refused(api, "DELETE", "/scheduler/jobs/job", "Token czm_" + "x" * 43)
    tagged = make_token(make_user("otto", role="admin"), tags=["shop"])
    assert api.get("/scheduler/jobs", authorization=tagged) == []
    api.call("POST", "/scheduler/jobs/job/pause", authorization=make_token(make_user("anna", role="operator")))
    assert api.get("/scheduler/jobs/job")["paused_by"] == "anna"


@pytest.mark.parametrize("other", ["Basic eDp5", "Token x", "Bearer eyJh.eyJz.x", "czm_" + "x" * 43])
def test_credentials_of_others_are_ignored_where_the_api_is_open(api: Api, other: str) -> None:
    assert api.call("GET", "/scheduler/jobs", authorization=other).status_code == 200


def test_a_page_of_another_site_may_send_a_token_where_the_api_is_open(api: Api) -> None:
    headers = {"authorization": make_token(), "origin": "https://dashboard.example"}
    assert api.call("GET", "/scheduler/jobs", **headers).status_code == 200


def test_with_a_token_it_does_not_matter_which_page_sends_it(api: Api, token: str) -> None:
    response = api.call("GET", "/scheduler/jobs", authorization=token, origin="https://dashboard.example")
    assert response.status_code == 200


class Browser:
    """A person who has logged in to the admin, in a browser: with a session, and the token against forged requests."""

    def __init__(self, user: Any) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.client.force_login(user)
        self.client.get("/admin/password_change/")  # a page with a form

    def send(self, method: str, path: str, forged: bool = False) -> Any:
        headers = {} if forged else {"X-CSRFToken": self.client.cookies[django_settings.CSRF_COOKIE_NAME].value}
        return self.client.generic(method, path, content_type="application/json", headers=headers)


@pytest.fixture
def browser(closed: None) -> Browser:
    """The browser of an operator."""
    return Browser(make_user(role="operator", is_staff=True))


def test_the_session_of_a_browser_may_do_what_its_user_may(browser: Browser) -> None:
    make_job()
    assert browser.send("GET", "/scheduler/jobs").status_code == 200
    assert browser.send("POST", "/scheduler/jobs/job/run").status_code == 200
    assert browser.send("DELETE", "/scheduler/jobs/job").status_code == 403
    assert Job.objects.get().runs.get().actor == "anna"


def test_the_session_of_a_browser_needs_the_token_against_forged_requests(browser: Browser) -> None:
    make_job()
    response = browser.send("POST", "/scheduler/jobs/job/pause", forged=True)
    assert (response.status_code, response.json()["code"]) == (403, "PERMISSION_DENIED")
    assert "CSRF" in response.json()["error"]
    assert not Job.objects.get().paused
    assert browser.send("GET", "/scheduler/jobs", forged=True).status_code == 200


def test_a_forged_request_with_a_body_is_refused(browser: Browser) -> None:
    answer = browser.client.generic("POST", "/scheduler/jobs", b'{"id": "x"}', content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_DENIED")


def test_a_wrong_token_is_refused_beside_a_session(browser: Browser) -> None:
    response = browser.client.get("/scheduler/jobs", headers={"authorization": "Token x"})
    assert response.status_code == 401


def test_a_session_counts_where_a_proxy_asks_for_a_password_of_its_own(browser: Browser) -> None:
    response = browser.client.get("/scheduler/jobs", headers={"authorization": "Basic eDp5"})
    assert response.status_code == 200
