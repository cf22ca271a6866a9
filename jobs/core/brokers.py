"""The address of a broker: which ones will do."""

from __future__ import annotations

from urllib.parse import urlsplit

SCHEMES = ("redis", "rediss", "amqp", "amqps")
"""What the URL of a broker may begin with: those with which the promise was tested."""
EXAMPLES = "redis://host:6379/0 or amqp://user:password@host:5672/vhost"
"""URLs of brokers as they should be."""


def broker_problem(url: str) -> str:
    """Return what is wrong with the URL of a broker, "" if nothing is. The message shows no part of it."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text has what stands where a port would: it may be the password
        is_right = False
    return "" if is_right else f"is not the URL of a Redis or RabbitMQ server, such as {EXAMPLES}"
