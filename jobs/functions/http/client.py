"""One HTTP request and its redirects. `guard` limits their addresses and their time."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urljoin

from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util import Url, parse_url

from . import RequestFailed
from .guard import Guard, RequestTimedOut, connection_to

MAX_URL = 2048
"""The most characters of a URL."""
SERVER = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?"
"""The server in a URL."""
MAX_READ = 1024 * 1024
"""The most bytes that are read of a body."""
REDIRECTS = (301, 302, 303, 307, 308)
"""The statuses of redirects."""
HARMLESS_HEADERS = ("accept", "accept-language", "content-type", "user-agent")
"""The headers that are sent on after a redirect to another server; any other may be a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to send."""

    method: str
    url: Url
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer. `complete` is false where the body goes on after `MAX_READ` bytes."""

    url: Url
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    complete: bool


def parse_target(url: str) -> Url:
    """Return the parts of `url`. Raises `ValueError` for a URL that cannot be requested."""
    if len(url) > MAX_URL or re.search(r"[\x00-\x20\x7f\\]", url):
        raise ValueError(f"must have at most {MAX_URL:,} characters, and neither blanks nor backslashes")
    server = re.match(r"https?://([^/?#]*)", url, re.IGNORECASE)
    if not server:
        raise ValueError("must begin with http:// or https://, such as https://example.com/")
    if "@" in server[1]:
        raise ValueError("must not have a user or a password in it; the header Authorization is for that")
    if not re.fullmatch(SERVER, server[1]):
        raise ValueError("must name a server, in letters from a to z (other names have a form that begins with xn--)")
    try:
        target = parse_url(url)
    except LocationParseError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if not target.host or target.port == 0:
        raise ValueError("is not a URL: no server has this port")
    return target._replace(fragment=None)


def fetch(request: Request, guard: Guard, *, expected: Container[int], max_redirects: int) -> Response:
    """Return the answer to `request`, after at most `max_redirects` redirects. An `expected` redirect is not followed.

    Nothing is tried again. Raises `RequestFailed`, or its subclass `AddressRefused`, `RequestTimedOut` or
    `RequestCancelled`.
    """
    for _ in range(max_redirects + 1):
        response = _exchange(request, guard)
        location = response.headers.get("location")
        if response.status not in REDIRECTS or response.status in expected or not location:
            return response
        request = _redirected(request, response.status, location)
    raise RequestFailed(f"more than {max_redirects} redirects, the last of them to {request.url}")


def _exchange(request: Request, guard: Guard) -> Response:
    url = request.url
    try:
        connection = connection_to(url.scheme or "", url.host or "", url.port, guard)
        try:
            connection.request(request.method, url.request_uri, request.body, request.headers, preload_content=False)
            with closing(connection.getresponse()) as answer:
                body = answer.read(MAX_READ + 1)
        finally:
            connection.close()
            guard.release()
    except (OSError, HTTPError, HTTPException) as error:
        guard.require_wanted()
        if isinstance(error, TimeoutError | Urllib3TimeoutError):
            raise RequestTimedOut(f"{url}: no complete answer within {guard.timeout:g} s") from error
        raise RequestFailed(f"{url}: {error}") from error
    guard.require_wanted()  # the body ended with the connection
    return Response(
        url=url,
        status=answer.status,
        reason=answer.reason or "",
        headers=answer.headers,
        body=body[:MAX_READ],
        complete=len(body) <= MAX_READ,
    )


def _redirected(request: Request, status: int, location: str) -> Request:
    """Return the request that follows a redirect. As in browsers, a POST becomes a GET, but for 307 and 308."""
    try:
        url = parse_target(urljoin(request.url.url, location.strip()))
    except ValueError as error:
        raise RequestFailed(f"{request.url}: redirected to {location[:200]!r}, which {error}") from error
    method, headers, body = request.method, dict(request.headers), request.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
        headers = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
    if _origin(url) != _origin(request.url):
        headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS_HEADERS}
    return Request(method=method, url=url, headers=headers, body=body)


def _origin(url: Url) -> tuple[str | None, str | None, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
