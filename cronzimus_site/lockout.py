"""The lock of logins after too many failures, which django-axes counts: the page, and the time that is left."""

from __future__ import annotations

import logging
from datetime import timedelta
from math import ceil
from typing import Any

from axes.backends import AxesStandaloneBackend
from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

logger = logging.getLogger("cronzimus_site.lockout")

LOGGED = 60
"""Characters of a name that are logged."""


class LockoutBackend(AxesStandaloneBackend):
    """Refuses locked logins. A program that checks a password without a request is not affected."""

    def authenticate(self, request: HttpRequest | None, *args: Any, **credentials: Any) -> None:
        """Raise `PermissionDenied` for a login that is locked."""
        if request is not None:
            super().authenticate(request, *args, **credentials)


class LoginForm(AdminAuthenticationForm):
    """The form of the admin's login."""

    def get_invalid_login_error(self) -> ValidationError:
        """Return the error of the login. While it is locked, the password is not checked."""
        if self.request is None or not getattr(self.request, "axes_locked_out", False):
            return super().get_invalid_login_error()
        minutes = ceil(seconds_left(self.request) / 60)
        return ValidationError(
            f"Too many failed logins as this user from your address. Try again in {minutes} "
            f"{'minute' if minutes == 1 else 'minutes'}.",
            code="locked",
        )


def locked_response(request: HttpRequest, response: HttpResponse, credentials: Any) -> HttpResponse:
    """Return the answer to a login that is locked (AXES_LOCKOUT_CALLABLE): the page of the form, as 429."""
    response.status_code = 429
    response.headers["Retry-After"] = str(ceil(seconds_left(request)))
    return response


def seconds_left(request: HttpRequest) -> float:
    """Return the time for which a login stays locked: until fewer failures than the limit are recent."""
    lasts: timedelta = settings.AXES_COOLOFF_TIME
    handler = AxesProxyHandler.get_implementation()
    ends, failures = timezone.now(), 0
    (attempts,) = handler.get_user_attempts(request, getattr(request, "axes_credentials", None))
    for attempted_at, number in attempts.order_by("-attempt_time").values_list("attempt_time", "failures_since_start"):
        failures += number
        if failures >= settings.AXES_FAILURE_LIMIT:
            ends = attempted_at + lasts
            break
    return max((ends - timezone.now()).total_seconds(), 1.0)


def log_lockout(sender: Any, request: HttpRequest, username: str, ip_address: str, **kwargs: Any) -> None:
    """Log that a login is now locked (a receiver of `user_locked_out`)."""
    if request.axes_failures_since_start is None:  # type: ignore[attr-defined]
        return  # it was locked before; the failure has a line of its own
    logger.warning(
        "login locked: user %s from %s, for %.0f s", ascii(str(username)[:LOGGED]), ip_address, seconds_left(request),
        extra={"action": "login_locked"},
    )  # fmt: skip
