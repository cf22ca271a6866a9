"""The limit of requests for each client, by the setting API_RATE_LIMIT."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ..conf import conf
from ..core.rates import Rate, parse_rate
from .access import Access

KEY = "cronzimus-rate:{client}:{window}"
"""The key of a counter in the cache."""


class RateLimit(BaseThrottle):
    """Counts the requests of each client in windows of time, in the cache `default`, which all web processes share.

    A client is a token, or else the user of a session, or else an address. With a cache whose `incr` is atomic, such as
    Redis, the count is exact; in the database, requests at the same moment may be counted as one.
    """

    left = 0.0
    """Seconds until the window of a refused request ends."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count a request; tell whether it is within the limit."""
        rate = parse_rate(conf.API_RATE_LIMIT)
        if rate is None:
            return True
        now = view.now.timestamp()
        window = int(now // rate.seconds)
        self.left = (window + 1) * rate.seconds - now
        return _count(KEY.format(client=_client(request), window=window), rate) <= rate.requests

    def wait(self) -> float:
        """Return the seconds until the client may make a request again."""
        return self.left


def _client(request: Request) -> str:
    access = request.auth
    if isinstance(access, Access) and access.token is not None:
        return f"token-{access.token.pk}"
    if isinstance(access, Access) and access.user is not None:
        return f"user-{access.user.pk}"
    return f"address-{request.META.get('REMOTE_ADDR', '')}"


def _count(key: str, rate: Rate) -> int:
    cache = caches["default"]
    if cache.add(key, 1, rate.seconds):
        return 1
    try:
        count = cache.incr(key)
    except ValueError:  # it has expired in this moment
        cache.set(key, 1, rate.seconds)
        return 1
    cache.touch(key, rate.seconds)  # Django's own `incr`, for caches without one, sets another timeout
    return count
