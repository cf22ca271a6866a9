"""Triggers: their definitions, their fire times, their words in English, and warnings about them.

The rest of the app imports from here. A definition is read field by field (`fields`, `grammar`, `crontab`), and
`definition` makes a trigger of it (`types`). A cron trigger is a `pattern` of local times, which `cron` turns into
instants of a time zone.
"""

from .base import Trigger, local_words
from .definition import Recipe, build_trigger, clean_trigger, recipe_of
from .fields import (
    CALENDAR_UNITS,
    CLOCK_FIELDS,
    CRON_FIELDS,
    INTERVAL_UNITS,
    TRIGGER_FIELDS,
    canonical,
    instant_of,
    time_zone,
)
from .warnings import warnings_of

__all__ = [
    "CALENDAR_UNITS",
    "CLOCK_FIELDS",
    "CRON_FIELDS",
    "INTERVAL_UNITS",
    "TRIGGER_FIELDS",
    "Recipe",
    "Trigger",
    "build_trigger",
    "canonical",
    "clean_trigger",
    "instant_of",
    "local_words",
    "recipe_of",
    "time_zone",
    "warnings_of",
]
