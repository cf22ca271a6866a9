"""/scheduler/functions: what jobs may call."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ...functions import registry
from ..representations import function
from .base import SchedulerView


class FunctionsView(SchedulerView):
    """The registered functions."""

    needs = {"get": ("view_job", "add_job")}

    def get(self, request: Request) -> Response:
        """List them, by name, with the parameters that a job gives and those that are filled in."""
        return Response([function(known) for known in registry.functions()])
