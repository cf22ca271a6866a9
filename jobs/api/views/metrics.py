"""/metrics: the figures that Prometheus scrapes."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request

from ...selectors import metrics
from ..access import access_of
from .base import ApiView


class MetricsView(ApiView):
    """The figures in Prometheus's text format; open where the API is, else for those who may see schedulers."""

    needs = {"get": ("view_scheduler",)}

    def get(self, request: Request) -> HttpResponse:
        """Answer with all series. 404 without prometheus-client; 403 for a token that is limited to tags."""
        if access_of(request).tags is not None:
            raise PermissionDenied("A token that is limited to tags cannot read the figures of all jobs.")
        try:
            text = metrics.exposition(self.now)
        except ImportError as error:
            raise NotFound("There are no metrics: prometheus-client is not installed.") from error
        return HttpResponse(text, content_type=metrics.CONTENT_TYPE)
