"""Headers of a trusted proxy in front of the web: the client's address, and the user who has logged in.

Only the address of the connection itself counts (`REMOTE_ADDR`): any client can send any header.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import RemoteUserBackend
from django.contrib.auth.middleware import RemoteUserMiddleware
from django.contrib.auth.models import Group
from django.http import HttpRequest

from jobs.core.roles import ROLES

logger = logging.getLogger("cronzimus_site.proxy")

ROLE_NAMES = {group.removeprefix("Cronzimus "): group for group in ROLES}
"""The groups of the roles by the names that PROXY_ROLES has: viewer, operator, editor, admin."""
USER_KEY = "cronzimus.proxy_user"
"""The key of the user's name in `request.META`, which no header can have."""
GROUPS_KEY = "cronzimus_proxy_groups"
"""The key in a session of the groups from which its user's roles were last taken."""
USERNAME = re.compile(r"[\w.@+-]{1,150}")
"""Django's rule for the names of users. Two headers of one name arrive as "a,b", which it refuses."""


def is_trusted(address: str) -> bool:
    """Tell whether TRUSTED_PROXIES has this address."""
    ip = _parsed(address)
    return ip is not None and any(ip in network for network in _networks(tuple(settings.TRUSTED_PROXIES)))


def client_address(request: HttpRequest) -> str | None:
    """Return the client's address: that of the connection, or else that of X-Forwarded-For by trusted proxies.

    Each proxy adds the address that it was asked from at the end; the last one that is no trusted proxy is the client.
    None where the connection has no address, as one of a Unix socket.
    """
    address = _parsed(str(request.META.get("REMOTE_ADDR", "")))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while address is not None and is_trusted(str(address)) and forwarded:
        before = _parsed(forwarded.pop().strip())
        if before is None:
            break
        address = before
    return None if address is None else str(address)


class ProxyUserMiddleware(RemoteUserMiddleware):
    """Logs in the user whom a trusted proxy names in the header PROXY_USER_HEADER, for as long as it names them.

    The header is removed from every request, so that no later code can trust one from a client.
    """

    async_capable = False  # type: ignore[assignment] # Django's own coroutine looks for another key
    header = USER_KEY

    def process_request(self, request: HttpRequest) -> None:
        """Log in, change the user, or log out."""
        name, groups = _taken(request, settings.PROXY_USER_HEADER), _taken(request, settings.PROXY_GROUPS_HEADER)
        trusted = is_trusted(str(request.META.get("REMOTE_ADDR", "")))
        if name and not trusted:
            logger.warning(
                "the header %s is ignored: %s is not one of TRUSTED_PROXIES",
                settings.PROXY_USER_HEADER, request.META.get("REMOTE_ADDR"), extra={"action": "proxy_not_trusted"},
            )  # fmt: skip
        elif name and not USERNAME.fullmatch(name):
            logger.warning(
                "the header %s is ignored: %s cannot be the name of a user",
                settings.PROXY_USER_HEADER, ascii(name)[:60], extra={"action": "proxy_user_invalid"},
            )  # fmt: skip
        elif name:
            request.META[USER_KEY] = name
            request.META[GROUPS_KEY] = groups
        super().process_request(request)
        if USER_KEY in request.META and request.user.is_authenticated and settings.PROXY_GROUPS_HEADER:
            _follow_groups(request, groups)


class ProxyUserBackend(RemoteUserBackend):
    """Lets in the users whom the middleware names, if they exist, or if their groups give them a role."""

    create_unknown_user = False

    def authenticate(self, request: HttpRequest | None, remote_user: str) -> Any:  # type: ignore[override]
        """Return the user, who is created if PROXY_ROLES has a role for the groups; None for nobody."""
        if request is None or not remote_user:
            return None
        if roles_of(request.META.get(GROUPS_KEY, "")):
            user, created = get_user_model().objects.get_or_create(username=remote_user)
            if created:
                user.set_unusable_password()
                user.save(update_fields=["password"])
                logger.info("user %s made: a trusted proxy named it", remote_user, extra={"action": "user_made"})
        return super().authenticate(request, remote_user)


def roles_of(groups: str) -> set[str]:
    """Return the names of the Django groups that PROXY_ROLES has for the groups in a header: "a,b"."""
    return {ROLE_NAMES[settings.PROXY_ROLES[group]] for group in _listed(groups) if group in settings.PROXY_ROLES}


def is_login_of_proxy(request: HttpRequest, credentials: dict[str, Any] | None) -> bool:
    """Tell whether a login comes from the proxy, for django-axes: nobody can guess passwords with it."""
    return "remote_user" in (credentials or {})


def _follow_groups(request: HttpRequest, groups: str) -> None:
    """Give the user exactly the roles of their groups, once for each session and each change."""
    if request.session.get(GROUPS_KEY) == groups:
        return
    user: Any = request.user
    wanted = roles_of(groups)
    user.groups.remove(*Group.objects.filter(name__in=set(ROLES) - wanted))
    user.groups.add(*Group.objects.filter(name__in=wanted))
    if wanted and not user.is_staff:  # the admin is closed to others
        user.is_staff = True
        user.save(update_fields=["is_staff"])
    request.session[GROUPS_KEY] = groups
    named = ", ".join(sorted(wanted)) or "no role"
    logger.info("%s has the roles of its groups: %s", user.get_username(), named, extra={"action": "roles_followed"})


def _taken(request: HttpRequest, header: str) -> str:
    """Take a header off the request and return its value, "" for none."""
    value = request.META.pop("HTTP_" + header.upper().replace("-", "_"), "") if header else ""
    try:
        return str(value).encode("latin-1").decode().strip()  # WSGI hands UTF-8 over as Latin-1
    except UnicodeError:
        return str(value).strip()


def _listed(groups: str) -> Iterable[str]:
    return (group.strip() for group in groups.split(","))


@lru_cache(maxsize=4)
def _networks(texts: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(text) for text in texts]


@lru_cache(maxsize=256)
def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        ip = ip_address(address.partition("%")[0])  # without the scope of a link-local address
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
