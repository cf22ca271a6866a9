"""/api/schema and /api/docs: the description of the API, for programs and for people."""

from __future__ import annotations

from django.http import HttpResponse
from django.template.loader import render_to_string
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ..authentication import is_open
from .base import SchedulerView

SCHEMA, DOCS = "/api/schema", "/api/docs"
"""The ends of both addresses, below any prefix of the project."""
MISSING = "The API has no description here: drf-spectacular is not installed."
"""The message of both without drf-spectacular."""


class SchemaView(SchedulerView):
    """The description of the API in OpenAPI 3.1, as JSON."""

    needs = {"get": ("view_job",)}

    def get(self, request: Request) -> Response:
        """Show this description of the API in OpenAPI 3.1. 404 without drf-spectacular."""
        try:
            from ..schema.generator import description
        except ImportError as error:
            raise NotFound(MISSING) from error
        return Response(description(server=_server(request, SCHEMA), is_open=is_open(request._request)))


class DocsView(SchedulerView):
    """The description of the API as a page."""

    needs = {"get": ("view_job",)}

    def get(self, request: Request) -> HttpResponse:
        """Show this description of the API as a page, the operation `open` unfolded. 404 without drf-spectacular."""
        try:
            from ..schema.generator import description
            from ..schema.page import page
        except ImportError as error:
            raise NotFound(MISSING) from error
        shown = page(description(server=_server(request, DOCS), is_open=is_open(request._request)))
        opened = request.query_params.get("open", "")
        return HttpResponse(render_to_string("cronzimus/api_docs.html", {**shown, "opened": opened}))


def _server(request: Request, here: str) -> str:
    return request.path.removesuffix(here) or "/"
