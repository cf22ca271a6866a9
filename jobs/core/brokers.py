"""Validate and name the URL of a broker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = ("redis", "rediss", "amqp", "amqps")
"""The schemes of brokers' URLs: Redis and RabbitMQ, with which Cronzimus is tested."""
EXAMPLES = "redis://host:6379/0 or amqp://user:password@host:5672/vhost"
"""URLs of brokers, for messages."""
TLS_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "ssl_ca_certs": (), "ssl_certfile": (), "ssl_keyfile": (),
    "ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false"),
}  # fmt: skip
"""The parameters of an encrypted connection, as redis-py and kombu name them, with their values; `()` for any."""


def broker_problem(url: str) -> str:
    """Return the error in the URL of a broker, "" if there is none.

    The message names the part that is wrong, and shows nothing of the URL: it has a password.
    """
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text has a wrong port, which may be a part of the password
        is_right = False
    if not is_right:
        return f"is not the URL of a Redis or RabbitMQ server, such as {EXAMPLES}"
    if ";" in url:  # kombu would take the rest for the URL of a second broker
        return "must name one server; in a password ; is %3B"
    if "#" in url:
        return "must have no part after a #; in a password # is %23"
    if parts.scheme.startswith("redis") and not re.fullmatch(r"/{0,2}|/{1,2}[0-9]+", parts.path):
        return "must end with the number of a database, as in redis://host:6379/0, or with the port"
    return _query_problem(parts.scheme, parts.query)


def broker_name(url: str) -> str:
    """Return which broker a URL names, without user, password and parameters: "redis://host:6379/0"; "" for none."""
    if broker_problem(url) or not url:
        return ""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    if parts.scheme.startswith("redis"):
        return f"{parts.scheme}://{host}:{parts.port or 6379}/{int(parts.path.strip('/') or 0)}"
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    return f"{parts.scheme}://{host}:{port}/{unquote(parts.path[1:]) or '/'}"


def _query_problem(scheme: str, query: str) -> str:
    given = parse_qsl(query, keep_blank_values=True)
    if (query and any(name not in TLS_PARAMETERS for name, _ in given)) or bool(query) != bool(given):
        return f"may have no parameters after ? but {', '.join(TLS_PARAMETERS)}; in a password ? is %3F"
    if given and scheme in ("redis", "amqp"):
        return f"has parameters of an encrypted connection: write {scheme}s:// for one"
    for name, value in given:
        choices = TLS_PARAMETERS[name]
        if (choices and _plain(value) not in choices) or not value:
            return f"must have {name}={'|'.join(choices) or '…'}"
    return ""


def tls_parameters(url: str) -> dict[str, Any] | None:
    """Return the parameters of the encrypted connection to a broker; None if its connections are not encrypted.

    Certificates and names of hosts are verified, unless the URL says otherwise.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("rediss", "amqps"):
        return None
    given = dict(parse_qsl(parts.query))
    reqs = _plain(given.get("ssl_cert_reqs", "required"))
    checks = reqs != "none" and _plain(given.get("ssl_check_hostname", "true")) == "true"
    return given | {"ssl_cert_reqs": reqs, "ssl_check_hostname": checks}


def _plain(value: str) -> str:
    # Celery's documentation writes CERT_REQUIRED, that of redis-py "required".
    return value.lower().removeprefix("cert_")
