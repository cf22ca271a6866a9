"""The mail server of the product's site: EMAIL_URL becomes Django's settings, and no message shows a part of it."""

from __future__ import annotations

from typing import Any

import pytest

from cronzimus_site.mail import email_settings, is_email_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://localhost", ("localhost", 25, "", "", False, False)),
        ("smtp+tls://ann:p%40%2F@mail.example.com", ("mail.example.com", 587, "ann", "p@/", True, False)),
        ("smtps://ann@[::1]:4650", ("::1", 4650, "ann", "", False, True)),
    ],
)
def test_a_url_becomes_settings(url: str, expected: tuple[Any, ...]) -> None:
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(email_settings(url)[f"EMAIL_{name}"] for name in names) == expected


def test_a_mail_server_that_does_not_answer_does_not_hold_up_the_others() -> None:
    assert email_settings("smtp://localhost")["EMAIL_TIMEOUT"] == 10


def test_without_a_url_djangos_own_settings_hold() -> None:
    is_email_url("")
    assert email_settings("") == {}


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com", "http://mail.example.com", "smtp://", "smtp://:25", "smtp://geheim@mail:0",
        "smtp://ann:geheim#1@mail.example.com", "smtp://ann:geheim/1@mail.example.com", "smtp://mail:geheim",
        "smtp://mail/x", "smtp://ann:geheim?@mail",
    ],
)  # fmt: skip
def test_another_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="not the URL of a mail server") as caught:
        is_email_url(url)
    assert "geheim" not in str(caught.value)
