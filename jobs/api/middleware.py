"""Errors from before and around the API's views, which Django answers with a page: the envelope instead."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from .errors import RETRY_AFTER, envelope
from .rendering import to_json

ROOTS = ("api", "scheduler")
"""The first parts of the paths under which every answer is JSON."""
DRAINED = 16 * 1024 * 1024
"""Bytes of a refused body that are taken from the client all the same."""
CHUNK = 64 * 1024
"""Bytes of a body that are read at a time."""


class ErrorEnvelopeMiddleware:
    """Answer with JSON where Django would with a page: a wrong host, an unknown address, a crash outside of a view.

    It comes first of all middleware, so that it sees what the others answer.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep what handles the request."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of what handles the request, an error under the API's roots as JSON."""
        response = self.get_response(request)
        if response.status_code < 400 or not _is_api(request):
            return response
        _drain(request)
        return response if _is_json(response) else _enveloped(response, _message(request, response.status_code))


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.lstrip("/").partition("/")[0] in ROOTS


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _drain(request: HttpRequest) -> None:
    """Take what is left of a request's body, up to `DRAINED`, and forget it.

    Most clients send the whole of their request before they look at the answer. Were the connection closed on them they
    would see an error of the network, and never the answer.
    """
    left = DRAINED
    try:
        while left > 0 and (chunk := request.read(CHUNK)):
            left -= len(chunk)
    except OSError:
        pass  # the client is gone


def _message(request: HttpRequest, status: int) -> str:
    try:
        request.get_host()
    except DisallowedHost:
        return "The header Host names no host of this site; ALLOWED_HOSTS lists them." if status == 400 else ""
    return ""


def _enveloped(response: HttpResponseBase, message: str) -> HttpResponse:
    body = to_json(envelope(response.status_code, message))
    answer = HttpResponse(body, status=response.status_code, content_type="application/json")
    for name, value in response.items():
        if name not in ("Content-Type", "Content-Length"):
            answer[name] = value
    if response.status_code == 503:
        answer.setdefault("Retry-After", str(RETRY_AFTER))
    answer["Content-Length"] = str(len(body))
    response.close()
    return answer
