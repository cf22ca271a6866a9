"""The base classes of all views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction
from django.http import Http404
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from ...conf import conf
from ...core.audit import Door, acting, identify, origin_of
from ...core.clock import Clock, SystemClock
from ..access import Access
from ..authentication import ApiAuthentication, NeedsPermission
from ..bodies import drain
from ..conditional import conditional
from ..errors import exception_handler
from ..parsers import StrictJSONParser
from ..rendering import JSONNegotiation, JSONRenderer
from ..throttling import RateLimit

clock: Clock = SystemClock()
"""The clock of all requests."""


class ApiView(APIView):
    """A view of the API: JSON in, JSON out. The clock is read once for each request, into `now`.

    REST framework takes policies that a view does not name from the settings of the project. This view names all of
    them, so that the API does not depend on the project's settings.
    """

    authentication_classes: Sequence[type[BaseAuthentication]] = (ApiAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (NeedsPermission,)
    parser_classes = (StrictJSONParser,)
    renderer_classes = (JSONRenderer,)
    throttle_classes: Sequence[type[BaseThrottle]] = ()
    content_negotiation_class = JSONNegotiation
    metadata_class = None
    versioning_class = None
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    needs: ClassVar[Mapping[str, Sequence[str]]] = {}
    """The permissions, of which one is needed, by the name of each action or method."""
    now: datetime

    @classmethod
    def as_view(cls, *args: Any, **initkwargs: Any) -> Any:
        """Return the view, outside of the transaction that ATOMIC_REQUESTS would open: services open their own."""
        return transaction.non_atomic_requests(super().as_view(*args, **initkwargs))

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Add no headers to every response: Allow comes with 405."""
        return {}

    def get_exception_handler(self) -> Any:
        """Return ours, not that of the setting EXCEPTION_HANDLER."""
        return exception_handler

    def get_format_suffix(self, **kwargs: Any) -> None:
        """Return None: no address ends in a format."""

    def needed(self) -> Sequence[str]:
        """Return the permissions of which this request needs one; none for a method that is refused anyway."""
        method = "get" if self.request.method == "HEAD" else (self.request.method or "").lower()
        name = getattr(self, "action", None) if hasattr(self, "action_map") else method
        if name is None or method not in self.http_method_names or not hasattr(self, name):
            return ()
        return self.needs[name]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer the request, which is the origin of its entries in the audit."""
        if request.method in ("GET", "HEAD"):
            return super().dispatch(request, *args, **kwargs)
        with acting(origin_of(request.META, Door.API)):
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Read the clock, then authenticate."""
        self.now = clock.now()
        super().initial(request, *args, **kwargs)
        if request.method not in ("GET", "HEAD") and isinstance(request.auth, Access):
            identify(request.auth.actor, token=request.auth.token.prefix if request.auth.token else "")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the rest of the body of a refused request."""
        if response.status_code >= 400:
            drain(request._request)
        return super().finalize_response(request, response, *args, **kwargs)


class SchedulerView(ApiView):
    """A view under /scheduler, which does not exist while SCHEDULER_API_ENABLED is off."""

    throttle_classes = (RateLimit,)
    has_entity_tags = True
    """Whether answers to GET have an entity tag, for the description of the API."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404` if the scheduler's API is off."""
        if not conf.SCHEDULER_API_ENABLED:
            raise Http404
        super().initial(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a GET with 304 if its client has the answer already."""
        response = super().finalize_response(request, response, *args, **kwargs)
        is_read = request.method in ("GET", "HEAD") and response.status_code == 200
        return conditional(request, response) if is_read else response


class NotFoundView(ApiView):
    """An unknown address of the API."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise `Http404`, for every method and every client."""
        raise Http404
