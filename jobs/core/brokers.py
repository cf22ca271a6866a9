"""Validate the URL of a broker."""

from __future__ import annotations

from urllib.parse import urlsplit

SCHEMES = ("redis", "rediss", "amqp", "amqps")
"""The schemes of brokers' URLs: Redis and RabbitMQ, with which Cronzimus is tested."""
EXAMPLES = "redis://host:6379/0 or amqp://user:password@host:5672/vhost"
"""URLs of brokers, for messages."""


def broker_problem(url: str) -> str:
    """Return the error in the URL of a broker, "" if there is none. The message shows no part of the URL."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text has a wrong port, which may be a part of the password
        is_right = False
    return "" if is_right else f"is not the URL of a Redis or RabbitMQ server, such as {EXAMPLES}"
