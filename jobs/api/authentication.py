"""Who may use the API: whoever has a token; on a developer's own machine, and with API_AUTH=none, everybody."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ..conf import conf

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module

TOKEN = re.compile(rb"[\x21-\x7e]{1,256}")
"""What can be a token."""


class ApiAuthentication(TokenAuthentication):
    """Knox's tokens, `Authorization: Token …`; where the API is open, none is asked for and none is looked at."""

    def authenticate(self, request: Request) -> Any:
        """Return the token's user and the token; None where the API is open. Raises where a token is missing or bad."""
        if is_open(request):
            refuse_other_sites(request)
            return None
        found = super().authenticate(request)
        if found is None:
            raise NotAuthenticated
        return found

    def authenticate_credentials(self, token: bytes) -> Any:
        """Return the user of `token` and the token's row. Raises `AuthenticationFailed`."""
        # Knox would decode any bytes, and ask PostgreSQL for texts that it can not hold.
        if not TOKEN.fullmatch(token):
            raise AuthenticationFailed
        return super().authenticate_credentials(token)


class ApiPermission(BasePermission):
    """Whoever has authenticated may do everything, and where the API is open, everybody."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may go on."""
        return request.auth is not None or is_open(request)


def is_open(request: Request) -> bool:
    """Tell whether the API asks this client for no token: conf.API_AUTH; by default with DEBUG, from here."""
    if conf.API_AUTH:
        return bool(conf.API_AUTH == "none")
    return settings.DEBUG and _from_here(request)


def refuse_other_sites(request: Request) -> None:
    """Raise `PermissionDenied` for what a page of another site makes a browser send.

    Without a token to show, a form or a script on any page that a person reads could otherwise pause their jobs.
    """
    origin = request.META.get("HTTP_ORIGIN")
    foreign = origin is not None and origin.partition("://")[2].lower() != request.get_host().lower()
    if foreign or request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site":
        raise PermissionDenied("Requests from pages of other sites are refused while the API asks for no token.")


def _from_here(request: Request) -> bool:
    # Behind a proxy every client has the proxy's address: what was forwarded is not from here.
    forwarded = "HTTP_X_FORWARDED_FOR" in request.META or "HTTP_FORWARDED" in request.META
    return not forwarded and _is_loopback(request.META.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=256)
def _is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
