"""Middleware for the API's addresses: admit probes, and turn errors of other middleware into JSON."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from rest_framework.response import Response

from .bodies import drain
from .errors import RETRY_AFTER, envelope
from .rendering import to_json
from .views.base import ApiView
from .views.health import ProbeView

PROBES = ("/health", "/health/live", "/health/ready")
"""The ends of the probes' addresses, below any prefix of the project."""


class ErrorEnvelopeMiddleware:
    """Answer with JSON instead of Django's pages for a wrong host, or a crash in other middleware.

    Only errors at the API's own addresses are changed; errors of the views are JSON already. It must be the first
    middleware, so that it sees the answers of the others.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep the next handler."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the response of the next handler, or JSON for an error at one of the API's addresses."""
        response = self.get_response(request)
        if response.status_code < 400 or _is_json(response) or not issubclass(_view_at(request), ApiView):
            return response
        drain(request)
        return _enveloped(response, _message(request, response.status_code))


class ProbeMiddleware:
    """Answer the probes under /api/health for any header Host and any scheme.

    Load balancers and Kubernetes ask by IP address over plain HTTP, which ALLOWED_HOSTS and SECURE_SSL_REDIRECT would
    refuse or redirect. It must come before the middleware that does so.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep the next handler."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Return the answer of a probe, or else of the next handler."""
        if not request.path_info.endswith(PROBES) or not issubclass(_view_at(request), ProbeView):
            return self.get_response(request)
        match = resolve(request.path_info)
        response: HttpResponse = match.func(request, *match.args, **match.kwargs)
        if isinstance(response, Response):
            response.render()
        response["Content-Length"] = str(len(response.content))
        return response


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _view_at(request: HttpRequest) -> type:
    """Return the class of the view at the address of a request; `object` if it is not a view of REST framework."""
    try:
        match = request.resolver_match or resolve(request.path_info, getattr(request, "urlconf", None))
    except Resolver404:
        return object
    view = getattr(match.func, "cls", None)
    return view if isinstance(view, type) else object


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
    answer._has_been_logged = getattr(response, "_has_been_logged", False)  # type: ignore[attr-defined]
    if response.status_code == 503:
        answer.setdefault("Retry-After", str(RETRY_AFTER))
    answer["Content-Length"] = str(len(body))
    response.close()
    return answer
