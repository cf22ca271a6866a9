"""The bytes of a request's body: read up to a limit, or read and discarded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest

from ..core.exceptions import InvalidRequest

MAX_BODY = 256 * 1024
"""Bytes of a body, at most."""
DRAINED = 16 * 1024 * 1024
"""Bytes of a refused body that are still read."""
DRAIN_SECONDS = 2.0
"""Time to wait for them."""
CHUNK = 64 * 1024
"""Bytes that are read at a time."""


def read_body(request: HttpRequest) -> bytes:
    """Return the body of a request, sent with a length or in chunks.

    Raises `RequestDataTooBig` for more than `MAX_BODY` bytes, if the length is known before any is read, and
    `InvalidRequest` if the client stops before the end.
    """
    if hasattr(request, "_body"):  # a middleware of the project has read it
        body = request.body
    else:
        if _length(request) > MAX_BODY:
            raise RequestDataTooBig
        body = _read(_reader(request), MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RequestDataTooBig
    return body


def drain(request: HttpRequest) -> None:
    """Read and discard the rest of a request's body, within limits.

    Most clients send their whole request before they read the answer. If the connection were closed before, they would
    see an error of the network instead of the answer.
    """
    left, deadline = DRAINED, time.monotonic() + DRAIN_SECONDS
    try:
        read = _reader(request)
        while left > 0 and time.monotonic() < deadline and (chunk := read(CHUNK)):
            left -= len(chunk)
    except Exception:  # noqa: S110 (the client is gone, or the server cannot tell where the body ends)
        pass


def _read(read: Callable[[int], bytes], limit: int) -> bytes:
    parts, left = [], limit
    try:
        while left > 0 and (part := read(left)):
            parts.append(part)
            left -= len(part)
    except Exception:  # servers raise errors of their own for malformed chunks
        raise InvalidRequest("The body ended early, or is not in chunks as its header says.") from None
    return b"".join(parts)


def _reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Return the function that reads the body. Raises `InvalidRequest` for a body whose end cannot be known."""
    environ: Any = getattr(request, "environ", None)
    if environ is None or "HTTP_TRANSFER_ENCODING" not in environ:
        return request.read
    # Django reads Content-Length bytes, which are none for a body in chunks (PEP 3333 has only Content-Length).
    if not environ.get("wsgi.input_terminated"):
        raise InvalidRequest("The body has no length: send the header Content-Length, and no Transfer-Encoding.")
    stream: Any = environ["wsgi.input"]
    return lambda size: stream.read(size)


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0
