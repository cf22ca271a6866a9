"""The arguments of an HTTP request: their validation, and the request made of them."""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from ...core.values import is_number, is_whole
from .client import Request, parse_target

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that a job may use."""
OWN_HEADERS = ("connection", "content-length", "host", "transfer-encoding")
"""Headers that are derived from the URL and the body."""
MAX_TIMEOUT = 3600
"""The longest timeout, in seconds."""
MAX_REDIRECTS = 20
"""The most redirects that may be followed."""


@dataclass(frozen=True, slots=True)
class HttpCall:
    """The arguments of the built-in `http_request`. Creating one raises `ValueError`, which names all bad arguments."""

    url: str
    method: str = "GET"
    headers: dict[str, str] | None = None
    body: str | None = None
    json: Any = None
    expected_status: int | list[int] | None = None
    timeout: float = 30
    max_redirects: int = 5

    def __post_init__(self) -> None:
        """Check the arguments."""
        problems = [*self._problems()]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def expected(self) -> Container[int]:
        """The statuses that count as success."""
        if self.expected_status is None:
            return range(200, 300)
        return self.expected_status if isinstance(self.expected_status, list) else [self.expected_status]

    def request(self, traceparent: str | None = None) -> Request:
        """Return the request to send, with the header `traceparent` if it continues a trace."""
        given = self.headers or {}
        own = {"User-Agent": "Cronzimus", "Connection": "close"}
        if traceparent is not None:
            own["traceparent"] = traceparent
        body = None if self.body is None else self.body.encode()
        if self.json is not None:
            own["Content-Type"], body = "application/json", jsonlib.dumps(self.json).encode()
        names = {name.lower() for name in given}
        headers = {name: value for name, value in own.items() if name.lower() not in names} | given
        return Request(method=self.method.upper(), url=parse_target(self.url), headers=headers, body=body)

    def _problems(self) -> Iterator[str]:
        yield from _url_problems(self.url)
        if not isinstance(self.method, str) or self.method.upper() not in METHODS:
            yield f"method: must be one of {', '.join(METHODS)}"
        yield from _header_problems(self.headers)
        if self.body is not None and not isinstance(self.body, str):
            yield "body: must be a string; any other value goes into json"
        if self.body is not None and self.json is not None:
            yield "json: cannot be sent together with body"
        if not self._has_good_statuses():
            yield "expected_status: must be a status from 100 to 599, or an array of such"
        if not is_number(self.timeout, 0, MAX_TIMEOUT) or self.timeout == 0:
            yield f"timeout: must be a number of seconds above 0, up to {MAX_TIMEOUT}"
        if not is_whole(self.max_redirects, 0, MAX_REDIRECTS):
            yield f"max_redirects: must be a whole number from 0 to {MAX_REDIRECTS}"

    def _has_good_statuses(self) -> bool:
        given = self.expected_status
        statuses: list[Any] = given if isinstance(given, list) else [given]
        return given is None or (bool(statuses) and all(is_whole(status, 100, 599) for status in statuses))


def _url_problems(url: object) -> Iterator[str]:
    if not isinstance(url, str):
        yield "url: must be a string, such as https://example.com/"
        return
    try:
        parse_target(url)
    except ValueError as error:
        yield f"url: {error}"


def _header_problems(headers: object) -> Iterator[str]:
    if headers is None:
        return
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        yield "headers: must be an object of strings"
        return
    for name, value in headers.items():
        if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
            yield f"headers: {name[:100]!r} is not the name of a header"
        elif name.lower() in OWN_HEADERS:
            yield f"headers: {name} follows from the URL and the body; leave it out"
        elif not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", value):
            yield f"headers: {name} must have one line of printable Latin-1 characters"
