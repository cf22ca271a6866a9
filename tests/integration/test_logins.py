"""Each failed login to the admin is one line of the log, which nobody can forge and which has no password."""

from __future__ import annotations

import logging

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from tests.fakes import make_user

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def anna() -> None:
    """A user who may log in, and one who is not staff."""
    make_user("anna", password=PASSWORD, is_staff=True)
    make_user("bert", password=PASSWORD)


def log_in(name: str, password: str, **headers: str) -> int:
    """Send the form of the admin; return the status of the answer."""
    form = {"username": name, "password": password}
    return int(Client().post("/admin/login/", form, headers=headers).status_code)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log of failed logins."""
    return [record.getMessage() for record in caplog.records if record.__dict__.get("action") == "login_failed"]


@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_a_wrong_password_is_one_line(caplog: pytest.LogCaptureFixture, name: str) -> None:
    assert log_in(name, "wrong-secret") == 200
    assert lines(caplog) == [f"login failed: user '{name}' from 127.0.0.1, POST '/admin/login/'"]
    assert "wrong-secret" not in caplog.text


def test_the_right_password_of_somebody_who_is_not_staff_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert log_in("bert", PASSWORD) == 200
    assert lines(caplog) == ["login failed: user 'bert' from 127.0.0.1, POST '/admin/login/'"]


def test_a_login_that_succeeds_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert log_in("anna", PASSWORD) == 302
        Client().get("/admin/login/")
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("/admin/cronzimus/run/", "/admin/cronzimus/run/"),
        *((wanted, "/admin/") for wanted in ("https://evil.example", "//evil.example", "/\\evil.example", "java:x")),
    ],
)
def test_a_login_leads_to_an_address_of_this_site(wanted: str, found: str) -> None:
    form = {"username": "anna", "password": PASSWORD, "next": wanted}
    assert Client().post("/admin/login/", form)["Location"] == found


def test_the_line_names_the_client_that_a_proxy_names(caplog: pytest.LogCaptureFixture) -> None:
    log_in("anna", "wrong", **{"x-forwarded-for": "203.0.113.7"})
    assert "from 127.0.0.1 for '203.0.113.7'," in lines(caplog)[0]


def test_names_and_headers_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    log_in("anna\r\nERROR forged\x1b[31m\u202e", "wrong", **{"x-forwarded-for": "a\r\nforged"})
    (line,) = lines(caplog)
    assert line.isascii()
    assert line.isprintable()
    assert "user 'anna\\r\\nERROR forged\\x1b[31m\\u202e'" in line


def test_a_name_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    log_in("a" * 150, "wrong")
    assert "a" * 60 + "'" in lines(caplog)[0]


def test_a_failure_without_a_request_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    assert authenticate(username="anna", password="wrong") is None
    assert lines(caplog) == ["login failed: user 'anna'"]
