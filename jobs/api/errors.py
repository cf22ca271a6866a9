"""Errors as responses, all in the same envelope: {"error", "code", "fields"?}."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from rest_framework.exceptions import APIException, Throttled
from rest_framework.response import Response

from ..conf import conf
from ..core.exceptions import (
    BackfillNotFound,
    CronzimusError,
    JobExists,
    JobNotFound,
    PreconditionFailed,
    RunActive,
    RunFinished,
    RunNotFound,
    VersionNotFound,
)
from ..db.errors import is_full, is_read_only, is_unavailable, lacks_characters, lacks_tables, one_line
from ..services.idempotency import IdempotencyKeyReused
from .bodies import MAX_BODY

logger = logging.getLogger("cronzimus.api.errors")

RETRY_AFTER = 5
"""Seconds after which a client may try again when the database, or every scheduler, is gone."""

LOGGED = 300
"""Characters of an address, and of a database's message, that are logged."""
ENDS_IN_SLASH = "There is nothing at this address: no address of the API ends in a slash."
"""The message for an address that another framework would redirect."""
MIGRATE = "The database lacks tables or columns of this version: run 'manage.py migrate'."
"""The message if migrations are missing."""
READ_ONLY = "The database takes no writes now; try again soon."
"""The message if the database is a standby, or a read-only file."""
FULL = "The disk of the database is full; nothing can be written until there is room."
"""The message if the database has no room for a write."""

STATUSES: dict[type[Exception], int] = {
    BackfillNotFound: 404,
    JobNotFound: 404,
    RunNotFound: 404,
    VersionNotFound: 404,
    JobExists: 409,
    RunActive: 409,
    RunFinished: 409,
    PreconditionFailed: 412,
    IdempotencyKeyReused: 422,
    CronzimusError: 400,
    Http404: 404,
    PermissionDenied: 403,
    RequestDataTooBig: 413,
    SuspiciousOperation: 400,
    Exception: 500,
}
"""The HTTP status of each exception, of the nearest class in its tree; those of DRF (`APIException`) have their own."""

LACKS_CHARACTERS = "The request has a character that the database cannot store, because its encoding is not UTF-8."

REFUSALS: dict[int, tuple[str, str]] = {
    400: ("INVALID_REQUEST", "The request is not valid."),
    401: ("UNAUTHORIZED", "A valid token is needed: send 'Authorization: Token …'."),
    403: ("PERMISSION_DENIED", "This is not allowed."),
    404: ("NOT_FOUND", "There is nothing at this address."),
    405: ("METHOD_NOT_ALLOWED", "This address does not have that method; the header Allow lists those that it has."),
    412: ("PRECONDITION_FAILED", "The resource has changed since you read it. GET it again."),
    413: (
        "PAYLOAD_TOO_LARGE",
        f"The body is too large; the limit is {MAX_BODY // 1024} KB.",
    ),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body must be JSON, with the header 'Content-Type: application/json'."),
    429: ("TOO_MANY_REQUESTS", "Too many requests; try again later."),
    500: ("INTERNAL_ERROR", "Something went wrong here; it was logged."),
    503: ("UNAVAILABLE", "The database does not answer; try again soon."),
}
"""The code and the message of each HTTP status, for exceptions whose own may not be shown."""


def exception_handler(exception: Exception, context: Mapping[str, Any]) -> Response:
    """Return the response to `exception`, for DRF. A crash is logged, and its message kept from the client."""
    status = status_of(exception)
    if status >= 500:
        _log(exception, status, context)
    headers = _headers(exception, status)
    if status == 405:
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    body = _body(exception, status)
    if isinstance(exception, Http404) and context["request"].path.endswith("/"):
        body = envelope(404, ENDS_IN_SLASH)
    response = Response(body, status=status, headers=headers)
    # Already logged above, or by the code that refused the request: Django would log it again.
    response._has_been_logged = status == 401 or status >= 500  # type: ignore[attr-defined]
    return response


def status_of(exception: Exception) -> int:
    """Return the HTTP status of an exception."""
    if isinstance(exception, APIException):
        return exception.status_code
    if is_unavailable(exception) or lacks_tables(exception):
        return 503
    if lacks_characters(exception):
        return 400
    return next(STATUSES[kind] for kind in type(exception).__mro__ if kind in STATUSES)


def envelope(status: int, message: str = "", **more: Any) -> dict[str, Any]:
    """Return the body of an error with this HTTP status, with its usual message unless another is given."""
    code, usual = REFUSALS.get(status, REFUSALS[400 if status < 500 else 500])
    return {"error": message or usual, "code": code, **more}


def unavailable_text(exception: BaseException) -> str:
    """Return the message for a database that does not work now, by its error."""
    if is_read_only(exception):
        return READ_ONLY
    if is_full(exception):
        return FULL
    return MIGRATE if lacks_tables(exception) else REFUSALS[503][1]


def _body(exception: Exception, status: int) -> dict[str, Any]:
    if isinstance(exception, Throttled):
        return envelope(429, f"At most {conf.API_RATE_LIMIT} requests; try again in {_seconds(_wait(exception))} s.")
    if isinstance(exception, CronzimusError):
        fields = {"fields": exception.fields} if exception.fields else {}
        return {"error": str(exception), "code": exception.code, **fields}
    if isinstance(exception, APIException | PermissionDenied) and status not in (401, 405, 415):
        return envelope(status, str(getattr(exception, "detail", exception)))
    if lacks_characters(exception):
        return envelope(400, LACKS_CHARACTERS)
    return envelope(status, unavailable_text(exception) if status == 503 else "")


def _headers(exception: Exception, status: int) -> dict[str, str]:
    # DRF sets the header of 401 and the wait of 429 on the exception (rest_framework.views.exception_handler).
    retry = RETRY_AFTER if status == 503 else _wait(exception)
    headers = {
        "WWW-Authenticate": getattr(exception, "auth_header", None),
        "Retry-After": None if retry is None else _seconds(retry),
    }
    return {name: str(value) for name, value in headers.items() if value}


def _wait(exception: Exception) -> float | None:
    """Return the seconds until a throttled client may ask again; None for other errors."""
    return getattr(exception, "wait", None)


def _seconds(wait: float | None) -> int:
    """Return a wait in whole seconds, rounded up."""
    return max(math.ceil(wait or 0), 1)


def log_unavailable(exception: BaseException, request: Any, action: str) -> None:
    """Log that a request failed, in one line: the database may be away for long."""
    said, extra = one_line(exception)[:LOGGED], {"action": action, "status": 503}
    logger.error("%s failed: %s", _where(request), said, extra=extra)


def _log(exception: Exception, status: int, context: Mapping[str, Any]) -> None:
    request = context.get("request")
    if status == 503:
        log_unavailable(exception, request, "api_error")
    else:
        extra = {"action": "api_error", "status": status}
        logger.error("%s failed", _where(request), exc_info=exception, extra=extra)


def _where(request: Any) -> str:
    return f"{request.method} {ascii(request.path)[:LOGGED]}" if request is not None else "a request"
