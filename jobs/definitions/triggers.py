"""The triggers of jobs: their definitions as requests give them, and the triggers that stored jobs have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings

from ..core.exceptions import InvalidTrigger
from ..core.json import parse_stored
from ..core.triggers.definition import TRIGGER_FIELDS, Recipe, Trigger, build_trigger, recipe_of
from ..models.job import Job

ALL_TRIGGER_FIELDS = tuple(dict.fromkeys(name for names in TRIGGER_FIELDS.values() for name in names))
"""The fields of all kinds of triggers."""


def flat_trigger(trigger: object, fields: Mapping[str, Any], job: Job | None = None) -> dict[str, Any]:
    """Return a trigger's definition, `{"type": …, …}`, from the ways in which a request may give it.

    `trigger` is the type, with the trigger's `fields` beside it as the contract has it, or an object as a GET shows it.
    `fields` alone change those of `job`'s own trigger. Raises `InvalidTrigger` for a mix of the two.
    """
    if isinstance(trigger, Mapping):
        if fields:
            message = "the trigger is given as an object: give its fields there"
            raise InvalidTrigger(fields=dict.fromkeys(fields, message))
        return dict(trigger)
    if trigger is None and job is not None and isinstance(job.trigger, dict):
        return {**job.trigger, **fields}
    return {"type": trigger, **fields}


def trigger_of(job: Job) -> Trigger:
    """Return the trigger of a stored job. Raises `InvalidTrigger` where its row is damaged."""
    return build_trigger(job.trigger, anchor=job.anchor, default_timezone=settings.TIME_ZONE, key=job.id)


def trigger_from(text: str, *, anchor: datetime, key: str) -> Trigger:
    """Return the trigger whose definition is stored as the JSON `text`. Each text is parsed and built once.

    Raises `InvalidTrigger` where it is damaged.
    """
    # A date fires once: `recipe_of` does not keep it, and neither does this. (Another text that holds "date" is built
    # each time, which costs a little and changes nothing.)
    make = _recipe_from.__wrapped__ if '"date"' in text else _recipe_from
    return make(text, settings.TIME_ZONE)(anchor, key)


@lru_cache(maxsize=4096)
def _recipe_from(text: str, default_timezone: str) -> Recipe:
    return recipe_of(parse_stored(text), default_timezone=default_timezone)
