"""Log failed logins, so that guessed passwords show in the log of the web."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpRequest

logger = logging.getLogger("cronzimus_site.logins")

LOGGED = 60
"""Characters of a name, and of a client's header, that are logged."""


def log_failed_login(
    sender: Any, credentials: Mapping[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Log a failed login, without the password (a receiver of `user_login_failed`).

    Names and headers come from the client. They are cut and quoted, so that nobody can forge a line of the log.
    """
    name = str(credentials.get("username", credentials.get(get_user_model().USERNAME_FIELD, "")))[:LOGGED]
    logger.warning("login failed: user %s%s", ascii(name), _source(request), extra={"action": "login_failed"})


def _source(request: HttpRequest | None) -> str:
    if request is None:  # a command of the project's own may authenticate too
        return ""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")[:LOGGED]
    proxied = f" for {forwarded!a}" if forwarded else ""
    return f" from {request.META.get('REMOTE_ADDR', '?')}{proxied}, {request.method} {request.path[:200]!a}"
