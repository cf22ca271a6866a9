"""Logins are locked after too many failures, for a while that the page names."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.db.models import F
from django.test import Client

from tests.fakes import make_user

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def ada() -> Any:
    """A user who may log in."""
    return make_user("ada", password=PASSWORD, is_staff=True)


def log_in(password: str, name: str = "ada", **request: str) -> Any:
    return Client().post("/admin/login/", {"username": name, "password": password}, **request)  # type: ignore[arg-type]


def fail(times: int, name: str = "ada", **request: str) -> Any:
    for _ in range(times):
        answer = log_in("wrong", name, **request)
    return answer


def test_a_right_password_logs_in_after_a_few_failures() -> None:
    assert fail(4).status_code == 200
    assert log_in(PASSWORD).status_code == 302


def test_the_fifth_failure_locks_even_the_right_password() -> None:
    fail(5)
    answer = log_in(PASSWORD)
    assert answer.status_code == 429
    assert "_auth_user_id" not in answer.client.session


def test_the_page_says_for_how_long() -> None:
    fail(5)
    answer = log_in(PASSWORD)
    assert "Try again in 15 minutes." in answer.content.decode()
    assert 800 < int(answer.headers["Retry-After"]) <= 900


def test_the_time_left_does_not_grow_with_further_tries() -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=10))
    fail(3)
    assert "Try again in 5 minutes." in log_in(PASSWORD).content.decode()


def test_a_lock_ends_by_itself() -> None:
    fail(5)
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=16))
    assert log_in(PASSWORD).status_code == 302


def test_other_users_and_other_addresses_are_not_locked() -> None:
    make_user("bob", password=PASSWORD, is_staff=True)
    fail(5)
    assert log_in(PASSWORD, "bob").status_code == 302
    assert log_in(PASSWORD, REMOTE_ADDR="10.0.0.9").status_code == 302


def test_other_browsers_do_not_get_further_tries() -> None:
    for number in range(5):
        fail(1, HTTP_USER_AGENT=f"browser {number}")
    assert log_in(PASSWORD, HTTP_USER_AGENT="another").status_code == 429


def test_a_success_forgets_the_failures() -> None:
    fail(4)
    log_in(PASSWORD)
    assert fail(4).status_code == 200


def test_behind_a_trusted_proxy_the_clients_address_counts(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    fail(5, HTTP_X_FORWARDED_FOR="1.2.3.4, 10.0.0.7")
    assert log_in(PASSWORD, HTTP_X_FORWARDED_FOR="10.0.0.7").status_code == 429
    assert log_in(PASSWORD, HTTP_X_FORWARDED_FOR="10.0.0.8").status_code == 302


def test_without_one_no_header_gets_around_the_lock() -> None:
    fail(5, HTTP_X_FORWARDED_FOR="10.0.0.7")
    assert log_in(PASSWORD, HTTP_X_FORWARDED_FOR="10.0.0.8").status_code == 429


def test_wrong_tokens_do_not_count(settings: Any) -> None:
    settings.CRONZIMUS = settings.CRONZIMUS | {"API_AUTH": "token"}
    for _ in range(6):
        assert Client().get("/scheduler/jobs", headers={"Authorization": "Token czm_wrong"}).status_code == 401
    assert not AccessAttempt.objects.exists()


def test_the_lock_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fail(7)
    actions = [record.__dict__.get("action") for record in caplog.records if record.name.startswith("cronzimus_site")]
    assert actions.count("login_locked") == 1
    assert actions.count("login_failed") == 7


def test_no_password_and_no_token_of_a_form_is_kept() -> None:
    fail(1)
    kept = AccessAttempt.objects.get()
    assert "wrong" not in kept.post_data
