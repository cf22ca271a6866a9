"""The triggers of jobs: definitions in requests, and the triggers of stored jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.conf import settings

from ..core.exceptions import InvalidTrigger
from ..core.json import is_equal, parse_stored
from ..core.triggers import (
    CRON_FIELDS,
    TRIGGER_FIELDS,
    Recipe,
    Trigger,
    build_trigger,
    canonical,
    clean_trigger,
    instant_of,
    recipe_of,
    time_zone,
)
from ..core.values import is_whole
from ..models.job import Job

ALL_TRIGGER_FIELDS = tuple(dict.fromkeys(name for names in TRIGGER_FIELDS.values() for name in names))
"""The fields of all kinds of triggers."""
FIRST_TIME = datetime(1969, 12, 30, tzinfo=UTC)
"""An instant before all fire times, which begin in 1970 in every time zone."""
DATES = ("run_date", "start_date", "end_date")
"""The fields of triggers that hold times."""


def flat_trigger(trigger: object, fields: Mapping[str, Any], job: Job | None = None) -> dict[str, Any]:
    """Return a trigger's definition, `{"type": …, …}`, from the ways in which a request may give it.

    `trigger` is the type, with the trigger's `fields` beside it as in the contract, or an object as a GET shows it.
    `fields` alone change the trigger of `job`. Raises `InvalidTrigger` for an object with fields beside it.
    """
    if isinstance(trigger, Mapping):
        if fields:
            message = "the trigger is given as an object: give its fields there"
            raise InvalidTrigger(fields=dict.fromkeys(fields, message))
        return dict(trigger)
    if trigger is None and job is not None and isinstance(job.trigger, dict):
        return {**job.trigger, **fields}
    return {"type": trigger, **fields}


def likely_fields(body: Mapping[str, Any], job: Job | None = None) -> tuple[str, ...]:
    """Return the fields of the trigger type of `body`, or else of `job`: a misspelt name probably means one of them."""
    trigger = body.get("trigger", job.trigger if job else None)
    kind = trigger.get("type") if isinstance(trigger, Mapping) else trigger
    return TRIGGER_FIELDS.get(kind, ()) if isinstance(kind, str) else ()


def clean_definition(definition: Mapping[str, Any], *, now: datetime, grace: object) -> dict[str, Any]:
    """Return the canonical form of a definition. Raises `InvalidTrigger` if it is wrong, or never fires after `now`.

    `grace` is the `misfire_grace_time` of its job, by which a date may lie in the past; a wrong value counts as 0.
    """
    seconds = grace if is_whole(grace) else None
    return clean_trigger(definition, now=now, default_timezone=settings.TIME_ZONE, grace=seconds)


def is_over(job: Job, now: datetime) -> bool:
    """Tell whether the trigger of a job is valid and does not fire after `now`."""
    try:
        clean_definition(job.trigger, now=now, grace=job.misfire_grace_time)
    except InvalidTrigger:
        return True
    return False


def is_same_trigger(definition: Mapping[str, Any], stored: object) -> bool:
    """Tell whether two definitions of triggers have the same values, in any form.

    2 equals 2.0, …Z equals +00:00, a local time equals its instant, and null and a unit of 0 count as not given. Other
    ways to the same fire times, such as 60 seconds for a minute, are not the same.
    """
    given = {name: value for name, value in definition.items() if value is not None}
    if is_equal(given, stored):
        return True
    try:
        return _comparable(given) == _comparable(stored)
    except InvalidTrigger:
        return False


def _comparable(definition: object) -> dict[str, object]:
    if isinstance(definition, Mapping):
        definition = {name: _whole(value) for name, value in definition.items()}
    clean = canonical(definition)
    zone = time_zone(clean.get("timezone", settings.TIME_ZONE))
    expressions = (*CRON_FIELDS, "crontab") if clean["type"] == "cron" else ()
    values = {
        name: instant_of(name, value, zone) if name in DATES else str(value).lower() if name in expressions else value
        for name, value in clean.items()
    }
    return {name: value for name, value in values.items() if value != 0}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def trigger_of(job: Job) -> Trigger:
    """Return the trigger of a stored job. Raises `InvalidTrigger` where its row is damaged."""
    return build_trigger(job.trigger, anchor=job.anchor, default_timezone=settings.TIME_ZONE, key=job.id)


def trigger_from(text: str, *, anchor: datetime, key: str) -> Trigger:
    """Return the trigger whose definition is stored as the JSON `text`. Each text is parsed and built once.

    Raises `InvalidTrigger` where it is damaged.
    """
    # A date fires once, so it is not cached, as in `recipe_of`. (Another text that holds "date" is built each time,
    # which costs a little and changes nothing.)
    make = _recipe_from if '"date"' in text else _cached_recipe_from
    return make(text, settings.TIME_ZONE)(anchor, key)


def _recipe_from(text: str, default_timezone: str) -> Recipe:
    return recipe_of(parse_stored(text), default_timezone=default_timezone)


_cached_recipe_from = lru_cache(maxsize=4096)(_recipe_from)
