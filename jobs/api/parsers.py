"""Parse bodies strictly: JSON objects of a bounded size and depth."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request, is_form_media_type

from ..core.exceptions import InvalidRequest
from ..core.json import parse_strict
from ..core.runs import MissedChoice
from ..core.values import unknown_names
from .bodies import read_body

GZIP = b"\x1f\x8b"
"""The first bytes of what gzip has compressed."""


class StrictJSONParser(BaseParser):
    """Names the media type of bodies. Views read them with `body_of`, which also takes chunked ones."""

    media_type = "application/json"


def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request. Raises `InvalidRequest` for any other body."""
    return _parsed(request, read_body(request._request))


Reader = Callable[[Any], Any]
"""Converts the value of a field; raises `ValueError` with the values that are right."""
NOTHING: Mapping[str, Reader] = {}


def optional_body_of(
    request: Request, readers: Mapping[str, Reader] = NOTHING, *, error: type[InvalidRequest] = InvalidRequest
) -> dict[str, Any]:
    """Return the fields in the body of a request that needs none, each as its reader returns it; {} without a body.

    Raises `InvalidRequest` that names every bad field, those without a reader among them; `error` if all have one.
    """
    form = request._request
    if is_form_media_type(request.content_type):  # some clients send an empty form instead of no body
        if _holds_a_form(form):
            raise UnsupportedMediaType(request.content_type)
        return {}
    raw = read_body(form)
    body = _parsed(request, raw) if raw.removeprefix(BOM_UTF8).strip() else {}
    unknown, wrong, values = unknown_names(body, readers), {}, {}
    for name in body.keys() & readers.keys():
        try:
            values[name] = readers[name](body[name])
        except ValueError as problem:
            wrong[name] = str(problem)
    if unknown or wrong:
        raise (InvalidRequest if unknown else error)(fields=unknown | wrong)
    return values


def _holds_a_form(request: HttpRequest) -> bool:
    try:
        return bool(request.POST or request.FILES)
    except MultiPartParserError:  # malformed, but not empty
        return True


def _parsed(request: Request, raw: bytes) -> dict[str, Any]:
    if not raw.removeprefix(BOM_UTF8).strip():
        raise InvalidRequest("The body is empty; a JSON object is needed.")
    if (request.content_type or "").partition(";")[0].strip().lower() != StrictJSONParser.media_type:
        raise UnsupportedMediaType(request.content_type)
    if problem := _encoding_problem(raw):
        raise InvalidRequest(f"The body is {problem}.")
    try:
        # A byte order mark may be ignored (RFC 8259, 8.1); some editors write one.
        value = parse_strict(raw.removeprefix(BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: {error.reason} at byte {error.start}; encode it as UTF-8."
        raise InvalidRequest(message) from None
    except ValueError as error:
        raise InvalidRequest(f"The body {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The body must be a JSON object, {…}.")
    return value


def _encoding_problem(raw: bytes) -> str:
    """Return what bytes are that are no UTF-8, as far as their beginning shows it; "" otherwise."""
    if raw.startswith(GZIP):
        return "compressed with gzip; send it as it is, without the header Content-Encoding"
    # Windows PowerShell's > writes UTF-16 with a byte order mark. JSON begins with ASCII, so one byte of two is NUL.
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in raw[:2]:
        return "UTF-16 or UTF-32; save and send it as UTF-8"
    return ""


def missed(value: Any) -> MissedChoice:
    """Read the choice of the fire times of a pause."""
    if not isinstance(value, str) or value not in tuple(MissedChoice):
        raise ValueError(f"must be one of {', '.join(MissedChoice)}")
    return MissedChoice(value)
