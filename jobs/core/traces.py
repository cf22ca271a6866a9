"""The header `traceparent` (W3C Trace Context): where in a trace the request that asked for a run stands."""

from __future__ import annotations

import re
import sys
from typing import Any

MAX_LENGTH = 55
"""Characters of a traceparent of version 00, which is the one that is kept and passed on."""
_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_KNOWN_FLAGS = 0b11
"""The bits that the specification defines: sampled, and random trace id. All others must be passed on as 0."""


def parse_traceparent(header: str | None) -> str | None:
    """Return a header as a traceparent of version 00; None for none, and for one that the specification has ignored.

    Of a later version the part that version 00 has is read (Trace Context, "Versioning of traceparent").
    """
    found = _FORM.fullmatch((header or "").strip(" \t"))
    if found is None or found["version"] == "ff" or (found["version"] == "00" and found["more"]):
        return None
    if not int(found["trace"], 16) or not int(found["parent"], 16):
        return None
    return f"00-{found['trace']}-{found['parent']}-{int(found['flags'], 16) & _KNOWN_FLAGS:02x}"


def traceparent_of(header: str | None) -> str | None:
    """Return the traceparent of what happens now: of OpenTelemetry's current span, else of the request's `header`.

    A web that OpenTelemetry instruments has a span of its own for each request, which follows that of the header.
    """
    api: Any = sys.modules.get("opentelemetry.trace")  # who has set it up has imported it; nobody else pays for it
    if api is not None:
        span = api.get_current_span().get_span_context()
        if span.is_valid:
            return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return parse_traceparent(header)


def trace_id(traceparent: str) -> str:
    """Return the id of the trace, which is what people search for."""
    return traceparent.split("-")[1] if traceparent.count("-") == 3 else traceparent
