"""The values in use: options of the filters of the list of jobs, and suggestions of the form of a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from ..models import Job
from ..models.lookups import JSONText

TRIGGER_TYPE, TRIGGER_ZONE = JSONText("trigger", "type"), JSONText("trigger", "timezone")
"""The type of a job's trigger, and its time zone if it names one."""
OFFERED = 200
"""Values that a filter offers, at most; the search finds the others."""
SEEN = 2000
"""Jobs that the suggestions are taken from."""
MOST_TAGS = 12
"""Tags that the form suggests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The values that jobs have, in alphabetical order."""

    tags: tuple[str, ...]
    functions: tuple[str, ...]
    triggers: tuple[str, ...]
    zones: tuple[str, ...]
    executors: tuple[str, ...]
    owners: tuple[str, ...]


def job_options() -> JobOptions:
    """Return the values that jobs have, in one query. Damaged ones are left out."""
    columns = ("tags", "func", TRIGGER_TYPE, TRIGGER_ZONE, "executor", "owner")
    rows = list(Job.objects.order_by().values_list(*columns).distinct())
    tags = (tag for names, *_ in rows if isinstance(names, list) for tag in names)
    return JobOptions(
        tags=_ordered(tags),
        functions=_ordered(row[1] for row in rows),
        triggers=_ordered(row[2] for row in rows),
        zones=_ordered(settings.TIME_ZONE if row[3] is None else row[3] for row in rows),
        executors=_ordered(row[4] for row in rows),
        owners=_ordered(row[5] for row in rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """Values of other jobs that the form of a job offers; the tags in the order of their use."""

    tags: tuple[str, ...]
    owners: tuple[str, ...]
    groups: tuple[str, ...]


def form_suggestions() -> Suggestions:
    """Return the values that some jobs have: up to `SEEN`, so that the form opens fast with any number of jobs."""
    rows = list(Job.objects.order_by("pk").values_list("tags", "owner", "concurrency_group")[:SEEN])
    tags = Counter(tag for names, *_ in rows if isinstance(names, list) for tag in names if isinstance(tag, str))
    return Suggestions(
        tags=tuple(tag for tag, _ in tags.most_common(MOST_TAGS)),
        owners=_ordered(row[1] for row in rows),
        groups=_ordered(row[2] for row in rows),
    )


def _ordered(values: Iterable[object]) -> tuple[str, ...]:
    texts = {value for value in values if isinstance(value, str) and value}
    return tuple(sorted(texts, key=lambda text: (text.casefold(), text))[:OFFERED])
