"""Authentication: a token, a browser session, or none if the API is open."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from .. import services
from ..conf import conf
from ..models import Token
from .access import Access

logger = logging.getLogger("cronzimus.api.authentication")

SCHEMES = ("token", "bearer")
"""The words before a token in the header Authorization, in any case of letters."""
FORWARDING = (
    "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED", "HTTP_X_ORIGIN", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP",
    "HTTP_X_CLUSTER_CLIENT_IP", "HTTP_X_ENVOY", "HTTP_X_AMZN", "HTTP_X_AZURE", "HTTP_X_ARR",
    "HTTP_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_FASTLY_CLIENT_IP", "HTTP_CF_", "HTTP_CDN_", "HTTP_FLY_",
    "HTTP_X_REMOTE", "HTTP_X_HOST", "HTTP_X_SCHEME", "HTTP_X_REWRITE", "HTTP_X_APPENGINE", "HTTP_X_PROXY",
)  # fmt: skip
"""The prefixes of headers that only a proxy sends."""
LOGGED = 60
"""Characters of a client's header that are logged."""


class ApiAuthentication(SessionAuthentication):
    """Takes a token (`Authorization: Token …`), or the session of a browser with Django's CSRF check.

    If the API is open, nothing is needed, but a token of ours that is sent counts: what works on a developer's machine
    with a token then works on a server, and what a server refuses is refused.
    """

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        """Return the user and the access of a request; None without credentials. Raises for wrong ones."""
        http = request._request
        secret = _secret_in(http)
        if is_open(http) and not services.is_secret(secret or ""):
            refuse_other_sites(http)
            return None, Access()
        if secret is not None:
            token = _token_of(http, secret, request.parser_context["view"].now)
            return token.user, Access(user=token.user, token=token)
        session = super().authenticate(request)
        return session and (session[0], Access(user=session[0]))

    def enforce_csrf(self, request: Request) -> None:
        """Raise `PermissionDenied` for a forged request. The token must be in the header: a JSON body has no form."""
        super().enforce_csrf(request._request)  # type: ignore[arg-type]

    def authenticate_header(self, request: Request) -> str:
        """Return the header WWW-Authenticate of 401."""
        return "Token"


class NeedsPermission(BasePermission):
    """Checks the permission that the handler needs; see `ApiView.needs`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether there are credentials; raise `PermissionDenied`, with the reason, if they are not enough."""
        if not isinstance(request.auth, Access):
            return False
        needed = view.needed()
        if needed:
            request.auth.require(*needed)
        return True


def is_open(request: HttpRequest) -> bool:
    """Tell whether this client needs no credentials, by API_AUTH, or because it is a developer's own machine."""
    if conf.API_AUTH:
        return bool(conf.API_AUTH == "none")
    return settings.DEBUG and _is_from_here(request)


def refuse_other_sites(request: HttpRequest) -> None:
    """Raise `PermissionDenied` for a request that a page of another site made a browser send.

    Otherwise, without credentials, a form or script on any page that a person opens could pause their jobs. The origins
    in django-cors-headers' setting CORS_ALLOWED_ORIGINS are allowed.
    """
    origin = request.META.get("HTTP_ORIGIN")
    if origin in getattr(settings, "CORS_ALLOWED_ORIGINS", ()):
        return
    is_foreign = origin is not None and origin.partition("://")[2].lower() != request.get_host().lower()
    if is_foreign or request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site":
        raise PermissionDenied("Requests from pages of other sites are refused while the API asks for no token.")


def _secret_in(request: HttpRequest) -> str | None:
    """Return the token that a request sends; None without one. Other schemes concern a proxy."""
    scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    return secret.strip() if scheme.lower() in SCHEMES else None


def _token_of(request: HttpRequest, secret: str, now: datetime) -> Token:
    token = services.find_token(secret, now=now)
    if token is None:
        _log_failure(request, secret)
        raise AuthenticationFailed
    return token


def _log_failure(request: HttpRequest, secret: str) -> None:
    # REMOTE_ADDR is the proxy's address if there is one. The other header may be forged, so it is cut and quoted.
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")[:LOGGED]
    logger.warning(
        "authentication failed: token %s from %s%s, %s %.200s",
        services.shown(secret) or "(not one of ours)", request.META.get("REMOTE_ADDR", "?"),
        f" for {forwarded!a}" if forwarded else "", request.method, ascii(request.path),
        extra={"action": "authentication_failed"},
    )  # fmt: skip


def _is_from_here(request: HttpRequest) -> bool:
    # Behind a proxy every client has the proxy's address: a request that was forwarded is not from this machine.
    is_forwarded = any(name.startswith(FORWARDING) for name in request.META)
    return not is_forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
