"""Errors that Django answers with a page before one of the API's views is reached: the envelope instead."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve

from .bodies import drain
from .errors import RETRY_AFTER, envelope
from .rendering import to_json
from .views.base import ApiView


class ErrorEnvelopeMiddleware:
    """Answer with JSON where Django would with a page: a wrong host, a crash in other middleware.

    Only errors at the API's own addresses are changed. It comes first of all middleware, so that it sees what the
    others answer. Errors of the views themselves are JSON without it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep what handles the request."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of what handles the request; an error at one of the API's addresses as JSON."""
        response = self.get_response(request)
        if response.status_code < 400 or _is_json(response) or not _is_api(request):
            return response
        drain(request)
        return _enveloped(response, _message(request, response.status_code))


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _is_api(request: HttpRequest) -> bool:
    """Tell whether the address of a request is one of ours, whatever else the project serves beside it."""
    try:
        match = request.resolver_match or resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return False
    view = getattr(match.func, "cls", None)
    return isinstance(view, type) and issubclass(view, ApiView)


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
