"""The product's log: its lines as text or as JSON, and the ids of requests."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from django.core.signals import request_finished
from django.http import HttpRequest, HttpResponse

from jobs.core.log_context import REQUEST_ID, AddContext, request_id

FORMATS = ("text", "json")
"""The values of LOG_FORMAT."""
MAX_CHARACTERS = 300
"""Characters of one value in a line of the log, such as the path of a request."""
HEADER = "X-Request-ID"
"""The header with the id of a request, of the request itself and of its answer."""
ATOMS = {
    "request_id": "{x-request-id}o", "address": "h", "method": "m", "path": "U", "status": "s", "seconds": "L",
}  # fmt: skip
"""The fields of an access line by gunicorn's name of their value (its setting access_log_format)."""


class ShortValues(logging.Filter):
    """Cuts the values in a line of the log, because some of them come from clients."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the texts among the record's arguments."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_short, record.args))
        return True


class ShortRefusals(logging.Filter):
    """Leaves one short line of a request that Django refuses with 403, or as suspicious: one for an unknown host.

    Its text and its traceback say nothing more, and everybody can send such requests.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the message, and drop the traceback."""
        is_forbidden = record.name == "django.request" and getattr(record, "status_code", None) == 403
        if is_forbidden or record.name.startswith("django.security."):
            record.msg, record.args, record.exc_info, record.exc_text = _short(record.getMessage()), None, None, None
        return True


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        return f"{value[:MAX_CHARACTERS]}… ({len(value):,} characters)"
    return value


def formatter(log_format: str) -> dict[str, Any]:
    """Return the formatter of a format of `FORMATS`, as `logging.config` takes it."""
    if log_format == "text":
        return {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}
    from pythonjsonlogger.core import RESERVED_ATTRS  # here: the text format does not need it

    return {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": ["levelname", "name", "message"],
        "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception", "stack_info": "stack"},
        "timestamp": "time",
        # Django adds the request object; the log has its id instead.
        "reserved_attrs": [*RESERVED_ATTRS, "request"],
    }


class RequestFields(logging.Filter):
    """Gives a line of gunicorn's access log the parts of its message as fields, with the request's id."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        atoms = record.args
        if isinstance(atoms, Mapping):
            values = {name: str(atoms[atom]) for name, atom in ATOMS.items()}
            status, seconds = values.pop("status"), values.pop("seconds")
            record.__dict__.update(
                {name: value for name, value in values.items() if value not in ("-", "None")},
                status=int(status) if status.isdigit() else status, seconds=float(seconds),
            )  # fmt: skip
        return True


def configuration(log_format: str, level: str) -> dict[str, Any]:
    """Return Django's setting LOGGING: all lines go to standard error, from `level` on."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter(log_format)},
        "filters": {
            "short": {"()": ShortValues},
            "refusals": {"()": ShortRefusals},
            "context": {"()": AddContext},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["short", "refusals", "context"],
            },
        },
        "root": {"handlers": ["console"], "level": level},
        # The product logs logins itself.
        "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}, "axes": {"level": "CRITICAL"}},
    }


def gunicorn_configuration() -> dict[str, Any]:
    """Return gunicorn's setting `logconfig_dict`, which makes its own lines JSON, too."""
    return {
        "formatters": {"line": formatter("json")},
        "filters": {"request": {"()": RequestFields}},
        "handlers": {
            "errors": {"class": "logging.StreamHandler", "formatter": "line"},
            "requests": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stdout",
                "filters": ["request"],
            },
        },
        "root": {"handlers": ["errors"], "level": "INFO"},
        "loggers": {
            "gunicorn.error": {"handlers": ["errors"], "level": "INFO", "propagate": False},
            "gunicorn.access": {"handlers": ["requests"], "level": "INFO", "propagate": False},
        },
    }


class RequestIdMiddleware:
    """Gives each request an id, which the answer and all lines of the log about it have.

    It is the header X-Request-ID, if a proxy or the client sent one. It must be the first middleware.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the next handler."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the id in a header."""
        given = request.headers.get(HEADER, "")
        chosen = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        request_id.set(chosen)
        response = self.get_response(request)
        response.headers[HEADER] = chosen
        return response


def _forget_request(**_: Any) -> None:
    # Not at the end of the middleware: Django logs statuses from 400 on after it.
    request_id.set("")


request_finished.connect(_forget_request, dispatch_uid="cronzimus_site.logs")
