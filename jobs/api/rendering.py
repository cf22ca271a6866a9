"""Write the JSON of the API."""

from __future__ import annotations

import json
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


def to_json(value: Any) -> bytes:
    """Return `value` as JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, which UTF-8 cannot encode, becomes JSON's own escape.
    return text.encode("utf-8", "backslashreplace")


class JSONRenderer(BaseRenderer):
    """Renders the plain values that views return, with times already as text."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """Return `data` as JSON."""
        return to_json(data)


class JSONNegotiation(BaseContentNegotiation):
    """JSON for every header Accept, which RFC 9110, 12.5.1, allows, so that no client is refused."""

    def select_parser(self, request: Request, parsers: list[BaseParser]) -> BaseParser | None:  # type: ignore[override]
        """Return the parser, if the body is of its media type."""
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer."""
        return renderers[0], renderers[0].media_type
