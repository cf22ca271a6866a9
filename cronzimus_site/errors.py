"""The pages for requests that fail: each names the cause, and the remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from jobs.admin.refusals import missing_permission, role_of
from jobs.api.errors import RETRY_AFTER, log_unavailable, unavailable_text
from jobs.core.log_context import request_id
from jobs.db.errors import is_full, is_read_only, is_unavailable, lacks_characters, lacks_tables


def bad_request(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
    """Answer a request that is malformed. Its user is not looked up: the fault may be in the headers."""
    return HttpResponse(render_to_string("400.html"), status=400)


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
    """Answer a request that failed, with 503 if the database does not work now. The page reads nothing from it.

    It is a line of text where the page itself cannot be made.
    """
    error = sys.exc_info()[1]
    if error is not None and (is_unavailable(error) or lacks_tables(error)):
        return _unavailable(request, error)
    try:
        return HttpResponse(render_to_string("500.html", {"request_id": request_id.get()}), status=500)
    except Exception:
        text = f"Something went wrong here; the log has it under the request {request_id.get()}.\n"
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")


def _unavailable(request: HttpRequest, error: BaseException) -> HttpResponse:
    log_unavailable(error, request, "page_error")
    is_busy = not (is_full(error) or is_read_only(error) or lacks_tables(error))
    context = {"is_busy": is_busy, "text": unavailable_text(error), "is_read": request.method in ("GET", "HEAD")}
    response = HttpResponse(render_to_string("503.html", context), status=503, headers={"Retry-After": RETRY_AFTER})
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django would log it again, with a traceback
    return response


def _page(request: HttpRequest, template: str, status: int, **context: Any) -> HttpResponse:
    return render(request, template, {**admin.site.each_context(request), **context}, status=status)
