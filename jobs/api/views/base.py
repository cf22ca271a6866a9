"""What all views have in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404
from rest_framework.request import Request
from rest_framework.views import APIView

from ...conf import conf
from ...core.clock import Clock, SystemClock
from ..conditional import conditional
from ..rendering import JSONNegotiation, JSONRenderer

clock: Clock = SystemClock()
"""What the time of all requests is read from."""


class ApiView(APIView):
    """A view of the API: JSON in, JSON out. The clock is read once for each request, into `now`."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    metadata_class = None
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JSONNegotiation
    now: datetime

    @property
    def default_response_headers(self) -> dict[str, str]:
        """No header for every response: Allow comes with 405."""
        return {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the clock, then authenticate."""
        self.now = clock.now()
        super().initial(request, *args, **kwargs)


class SchedulerView(ApiView):
    """A view under /scheduler, which is not there where conf.SCHEDULER_API_ENABLED is off."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404` where the scheduler's API is off."""
        if not conf.SCHEDULER_API_ENABLED:
            raise Http404
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a GET with 304 where its client has what it would be sent."""
        response = super().finalize_response(request, response, *args, **kwargs)
        is_read = request.method in ("GET", "HEAD") and response.status_code == 200
        return conditional(request, response) if is_read else response


def actor_of(request: Request) -> str:
    """Return the name of who makes a request, "" where no token tells it."""
    return request.user.get_username() if request.user else ""
