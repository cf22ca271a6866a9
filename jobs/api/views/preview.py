"""Help with writing a job: the functions that it may call, and the fire times of a trigger."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from ...core.exceptions import InvalidRequest, InvalidTrigger
from ...core.times import parse_instant
from ...core.triggers import Trigger, build_trigger, clean_trigger, time_zone, warnings_of
from ...core.values import is_whole, unknown_names
from ...core.warnings import JobWarning
from ...definitions import policies
from ...definitions.triggers import ALL_TRIGGER_FIELDS, flat_trigger, likely_fields
from ...functions import registry
from ...models.job import JOB_ID, Job
from ...selectors.warnings import usual_duration
from ..access import access_of
from ..parsers import body_of
from ..representations import function, utc, warnings
from .base import SchedulerView

DEFAULT_COUNT = 5
"""The default number of fire times."""
MAX_COUNT = 100
"""The most fire times that a preview may ask for."""
OPTIONS = ("id", "after", "count")
"""The fields of the body beside the trigger."""


class FunctionsView(SchedulerView):
    """The functions that jobs may call."""

    needs = {"get": ("view_job", "add_job")}

    def get(self, request: Request) -> Response:
        """List the functions by name, with the parameters that a job gives, and the injected ones."""
        return Response([function(known) for known in registry.functions()])


class PreviewView(SchedulerView):
    """The next fire times of a trigger, for everybody who may see jobs. Nothing is stored."""

    needs = {"post": ("view_job", "add_job")}

    def post(self, request: Request) -> Response:
        """Show the fire times of the trigger in the body, with the same errors as on saving."""
        body = body_of(request)
        definition, after = _read(body, self.now)
        trigger = build_trigger(
            definition,
            anchor=self.now.replace(microsecond=0),
            default_timezone=settings.TIME_ZONE,
            key=body.get("id", ""),
        )
        times = trigger.fire_times(after, body.get("count", DEFAULT_COUNT))
        return Response(
            {
                "fire_times": [utc(at) for at in times],
                "description": trigger.describe(),
                "warnings": warnings(_warnings(trigger, after, _job(request, body.get("id", "")))),
            }
        )


def _job(request: Request, job_id: str) -> Job | None:
    """Return the job with this id, if there is one that the request reaches."""
    return access_of(request).jobs().filter(pk=job_id).first() if re.fullmatch(JOB_ID, job_id) else None


def _warnings(trigger: Trigger, after: datetime, job: Job | None) -> list[JobWarning]:
    """Return the warnings of a trigger, with those from the runs of its job."""
    if job is None:
        return warnings_of(trigger, now=after)
    took = usual_duration(job.pk)
    return warnings_of(trigger, now=after, usual_duration=took, max_instances=job.max_instances)


def _read(body: dict[str, Any], now: datetime) -> tuple[dict[str, Any], datetime]:
    """Return the definition in `body`, and the instant after which to show fire times.

    Raises `InvalidRequest` or `InvalidTrigger` that names every bad field.
    """
    known = ("trigger", *ALL_TRIGGER_FIELDS, *OPTIONS)
    fields = unknown_names(body, known, likely=likely_fields(body)) | _wrong_options(body)
    given = {name: body[name] for name in ALL_TRIGGER_FIELDS if name in body}
    definition: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    try:
        definition = clean_trigger(
            flat_trigger(body.get("trigger"), given),
            now=now,
            default_timezone=settings.TIME_ZONE,
            grace=policies.default_policies()["misfire_grace_time"],
        )
    except InvalidTrigger as error:
        wrong = error.fields or {"trigger": str(error)}
    after = now
    if body.get("after") is not None:
        try:
            after = parse_instant(body["after"], time_zone(definition.get("timezone", settings.TIME_ZONE)))
        except ValueError as error:
            fields["after"] = str(error)
    if fields:
        raise InvalidRequest(fields=fields | wrong)
    if wrong:
        raise InvalidTrigger(fields=wrong)
    return definition, after


def _wrong_options(body: dict[str, Any]) -> dict[str, str]:
    wrong = {}
    if not is_whole(body.get("count", DEFAULT_COUNT), 1, MAX_COUNT):
        wrong["count"] = f"must be a whole number from 1 to {MAX_COUNT}"
    if not isinstance(body.get("id", ""), str):
        wrong["id"] = "must be a job's id, a text"
    return wrong
