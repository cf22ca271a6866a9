"""/scheduler/preview: when a trigger would fire, before a job has it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from ...core.exceptions import InvalidRequest, InvalidTrigger
from ...core.triggers.definition import build_trigger, clean_trigger
from ...core.values import is_whole, unknown_names
from ...definitions import policies
from ...definitions.triggers import ALL_TRIGGER_FIELDS, flat_trigger
from .. import query
from ..parsers import body_of
from ..representations import utc
from .base import SchedulerView

DEFAULT_COUNT = 5
"""Fire times where no number is asked for."""
MAX_COUNT = 100
"""Fire times at the most."""
OPTIONS = ("id", "after", "count")
"""What the body may have beside a trigger."""


class PreviewView(SchedulerView):
    """The next fire times of a trigger. Nothing is kept, so whoever may see jobs may ask."""

    needs = {"post": ("view_job", "add_job")}

    def post(self, request: Request) -> Response:
        """Show the fire times of the trigger in the body; the errors are those that saving it would give."""
        body = body_of(request)
        definition = _clean(body, self.now)
        zone = ZoneInfo(definition.get("timezone", settings.TIME_ZONE))
        after = query.instant(zone)(body["after"]) if body.get("after") is not None else self.now
        trigger = build_trigger(
            definition,
            anchor=self.now.replace(microsecond=0),
            default_timezone=settings.TIME_ZONE,
            key=body.get("id", ""),
        )
        times = trigger.fire_times(after, body.get("count", DEFAULT_COUNT))
        return Response({"fire_times": [utc(at) for at in times], "description": trigger.describe()})


def _clean(body: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the definition in `body`. Raises `InvalidRequest` or `InvalidTrigger` that names every bad field."""
    fields = unknown_names(body, ("trigger", *ALL_TRIGGER_FIELDS, *OPTIONS)) | _wrong_options(body)
    given = {name: body[name] for name in ALL_TRIGGER_FIELDS if name in body}
    grace = policies.default_policies()["misfire_grace_time"]
    try:
        definition = clean_trigger(
            flat_trigger(body.get("trigger"), given),
            now=now,
            default_timezone=settings.TIME_ZONE,
            grace=grace,
        )
    except InvalidTrigger as error:
        if not fields:
            raise
        raise InvalidRequest(fields=fields | error.fields) from error
    if fields:
        raise InvalidRequest(fields=fields)
    return definition


def _wrong_options(body: dict[str, Any]) -> dict[str, str]:
    wrong = {}
    count = body.get("count", DEFAULT_COUNT)
    if not is_whole(count, 1, MAX_COUNT):
        wrong["count"] = f"must be a whole number from 1 to {MAX_COUNT}"
    if not isinstance(body.get("id", ""), str):
        wrong["id"] = "must be a job's id, a text"
    if body.get("after") is not None:
        try:
            query.instant(ZoneInfo(settings.TIME_ZONE))(body["after"])
        except ValueError as error:
            wrong["after"] = str(error)
    return wrong
