"""Bodies: JSON objects, strictly, of a bounded size and depth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from rest_framework.parsers import BaseParser
from rest_framework.request import Request, is_form_media_type

from ..core.exceptions import InvalidRequest
from ..core.json import parse_strict
from ..core.values import unknown_names


class StrictJSONParser(BaseParser):
    """Parses a JSON object in UTF-8; see `jobs.core.json` for what is refused."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return the object. Raises `InvalidRequest`, and `RequestDataTooBig` before such a body is read."""
        try:
            text = stream.body.decode("utf-8")
            value = parse_strict(text)
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
        except ValueError as error:
            raise InvalidRequest(f"The body {error}.") from None
        if not isinstance(value, dict):
            raise InvalidRequest("The body must be a JSON object, {…}.")
        return value


def body_of(request: Request) -> dict[str, Any]:
    """Return the body of a request that needs one. Raises `InvalidRequest` where there is none."""
    if _has_none(request):
        raise InvalidRequest("The body is empty; a JSON object is needed.")
    return cast(dict[str, Any], request.data)


def optional_body_of(request: Request, allowed: Collection[str] = ()) -> dict[str, Any]:
    """Return the body of a request that needs none, {} where there is none. Fields not `allowed` are refused."""
    body = {} if _is_empty(request) else body_of(request)
    refuse_unknown(body, allowed)
    return body


def _is_empty(request: Request) -> bool:
    # Clients that have nothing to send may send an empty form.
    if _has_none(request):
        return True
    form = request._request
    return is_form_media_type(request.content_type) and not form.POST and not form.FILES


def _has_none(request: Request) -> bool:
    # Django reads as much as Content-Length says, and would take a body without it for none.
    if request.stream is None and "HTTP_TRANSFER_ENCODING" in request.META:
        raise InvalidRequest("The body has no length: send the header Content-Length, and no Transfer-Encoding.")
    return request.stream is None


def refuse_unknown(given: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Raise `InvalidRequest` that names each of `given` that is not `allowed`."""
    if fields := unknown_names(given, allowed):
        raise InvalidRequest(fields=fields)
