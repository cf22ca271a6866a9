"""The pages for requests that fail: each names the cause, and the remedy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from jobs.admin.refusals import missing_permission, role_of
from jobs.core.log_context import request_id
from jobs.db.errors import lacks_characters

logger = logging.getLogger("cronzimus_site.errors")


def bad_request(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
    """Answer a request that is malformed. Its user is not looked up: the fault may be in the headers."""
    try:
        return HttpResponse(render_to_string("400.html"), status=400)
    except ValueError as error:
        return _line(400, "This request is malformed.", error)


class UnknownCharacterMiddleware:
    """Takes a request for malformed if it has a character that the database's encoding lacks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the next handler."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response of the next handler."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer in place of a view that failed for such a character."""
        return bad_request(request, exception) if lacks_characters(exception) else None


def forbidden(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
    """Answer a request that the user has no permission for, and name the role that has."""
    permission = missing_permission(exception, request)
    context: dict[str, Any] = {"permission": permission, "needed": role_of(permission) if permission else ""}
    return _page(request, "403.html", 403, title="You may not do that", **context)


def not_found(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
    """Answer a request for an address that leads nowhere."""
    return _page(request, "404.html", 404, title="There is nothing here")


def failed(request: HttpRequest) -> HttpResponse:
    """Answer a request that failed. The page reads nothing: the database may be what fails.

    It is a line of text where the page itself cannot be made, as before `collectstatic`.
    """
    try:
        return HttpResponse(render_to_string("500.html", {"request_id": request_id.get()}), status=500)
    except Exception:
        text = f"Something went wrong here; the log has it under the request {request_id.get()}.\n"
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")


def _page(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    try:
        return render(request, template, {**admin.site.each_context(request), **context}, status=status)
    except ValueError as error:
        return _line(status, f"{context['title']}.", error)


def _line(status: int, text: str, error: ValueError) -> HttpResponse:
    """Answer with a line of text: before `collectstatic` no page finds its style, which is a ValueError."""
    logger.warning("the page of an error cannot be made (run manage.py collectstatic): %s", error)
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
