"""Django's settings of the mail server, from the URL in EMAIL_URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

SCHEMES = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
"""The schemes of URLs with their ports: without encryption, with STARTTLS, and with TLS from the start."""
EXAMPLE = "smtp+tls://user:password@mail.example.com:587"
TIMEOUT_SECONDS = 10


def is_email_url(value: str) -> None:
    """Check that `value` is the URL of a mail server, or empty. Raises `ValueError`, which shows no part of it."""
    if value:
        _parts(value)


def email_settings(url: str) -> dict[str, Any]:
    """Return Django's settings of the mail server at `url`; {} for none."""
    if not url:
        return {}
    parts = _parts(url)
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or SCHEMES[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": TIMEOUT_SECONDS,
    }


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may have a part of the password
        is_right = False
    if not is_right or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            f"not the URL of a mail server, such as {EXAMPLE}; percent-encode special characters in the password."
        )
    return parts
