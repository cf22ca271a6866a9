"""The limit of requests for each client, by the setting API_RATE_LIMIT."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import caches
from django.db import DatabaseError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ..conf import conf
from ..core.rates import Rate, parse_rate
from .access import Access

logger = logging.getLogger("cronzimus.api.throttling")

WARN_EVERY = timedelta(minutes=1)
_warned_at: datetime | None = None
KEY = "cronzimus-rate:{client}:{window}"
"""The key of a counter in the cache."""


class RateLimit(BaseThrottle):
    """Counts the requests of each client in windows of time, in the cache `default`, which all web processes share.

    A client is a token, or else the user of a session, or else an address. While the cache does not answer, nothing is
    limited. With a cache whose `incr` is atomic, such as
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
        key = KEY.format(client=_client(request), window=window)
        try:
            return _count(key, rate) <= rate.requests
        except DatabaseError:
            raise
        except Exception as error:  # a cache's client may raise anything; the API goes on without it
            _warn(error, view.now)
            return True

    def wait(self) -> float:
        """Return the seconds until the client may make a request again."""
        return self.left


def _warn(error: Exception, now: datetime) -> None:
    """Log that nothing is counted, once a minute in each process: a line for each request would fill the log."""
    global _warned_at
    if _warned_at is None or not timedelta() <= now - _warned_at < WARN_EVERY:
        _warned_at = now
        extra = {"action": "rate_limit_off"}
        logger.warning("the cache does not answer, so requests are not limited: %s", error, extra=extra)


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
