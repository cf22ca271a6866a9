"""What can go wrong with an HTTP request; apart, so that to know it costs nobody the HTTP client."""

from __future__ import annotations


class RequestFailed(Exception):
    """The request got no answer that is of use."""
