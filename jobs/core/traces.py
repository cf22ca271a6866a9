"""The header `traceparent` (W3C Trace Context): the place in a trace of the request that asked for a run."""

from __future__ import annotations

import re
import sys
from typing import Any

MAX_LENGTH = 55
"""Characters of a traceparent of version 00, the version that is stored and passed on."""
_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KNOWN_FLAGS = 0b11
"""The bits that the specification defines: sampled, and random trace id. All others must be passed on as 0."""


def parse_traceparent(header: str | None) -> str | None:
    """Return a header as a traceparent of version 00; None if it is missing, or invalid by the specification.

    Of a later version the fields of version 00 are read (Trace Context, "Versioning of traceparent").
    """
    found = _FORM.fullmatch((header or "").strip(" \t"))
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["parent"], 16):
        return None
    return f"00-{found['trace']}-{found['parent']}-{int(found['flags'], 16) & _KNOWN_FLAGS:02x}"


def traceparent_of(header: str | None) -> str | None:
    """Return the current traceparent: that of OpenTelemetry's current span, or else of the request's `header`.

    With OpenTelemetry, a web process has a span of its own for each request, below that of the header.
    """
    api: Any = sys.modules.get("opentelemetry.trace")  # a project that uses it has imported it
    if api is not None:
        span = api.get_current_span().get_span_context()
        if span.is_valid:
            return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return parse_traceparent(header)


def trace_id(traceparent: str) -> str:
    """Return the id of the trace, by which people search."""
    return traceparent.split("-")[1] if traceparent.count("-") == 3 else traceparent
