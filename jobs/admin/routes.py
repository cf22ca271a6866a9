"""The addresses of the API's pages, for links of the admin."""

from __future__ import annotations

from importlib.util import find_spec

from django.urls import NoReverseMatch, reverse

LIBRARIES = {"docs": "drf_spectacular", "schema": "drf_spectacular", "metrics": "prometheus_client"}
"""The optional libraries without which a route answers with 404, by its name."""


def api_url(name: str) -> str:
    """Return the address of a route of the API; "" if the project leaves it out, or its library is not installed."""
    if name in LIBRARIES and find_spec(LIBRARIES[name]) is None:
        return ""
    try:
        return reverse(f"cronzimus:{name}")
    except NoReverseMatch:
        return ""
