"""Conflicts between two people who edit one job: detection, and the differences of what both have typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from itertools import takewhile
from typing import Any, NamedTuple

from ...core.json import is_same
from ...definitions import validation
from ...models import Job, JobVersion
from ...selectors.versions import versions_of, with_older

LONGEST = 200
"""Characters of a value that are shown."""
DEFINED = ("trigger", *validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS)
"""The fields of a job that its form has."""


class Difference(NamedTuple):
    """An input whose stored and sent values differ. `opened` is the value with which the form was opened."""

    name: str
    opened: str
    stored: str
    own: str


def state_of(job: Job) -> str:
    """Return the version of a job, and a digest of its definition, which a pause, a resume or a run does not change."""
    text = json.dumps([getattr(job, name) for name in DEFINED], sort_keys=True, default=str)
    return f"{job.version}.{blake2b(text.encode('utf-8', 'replace'), digest_size=12).hexdigest()}"


def is_as(job: Job, state: str) -> bool:
    """Tell whether the definition of a job is still the one that `state_of` returned."""
    return state.rpartition(".")[2] == state_of(job).rpartition(".")[2]


class Changes(NamedTuple):
    """The changes of a job since somebody opened its form.

    `opened` is the job as it was then, and `last` the newest change of its definition; None if no version tells.
    """

    opened: Job | None
    last: JobVersion | None


def changes_since(job: Job, state: str) -> Changes:
    """Return the changes of a job since its form was opened with `state`."""
    number = state.partition(".")[0]
    since = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    # A job that was changed without the services has the same version as before.
    opened = versions_of(job.pk, [since]).get(since) if since < job.version else None
    newer = takewhile(lambda pair: pair[0].number > since, with_older(job.pk))
    changed = (version for version, older in newer if older is not None and not _are_same(version.definition, older))
    return Changes(None if opened is None else _job_of(opened), next(changed, None))


def _job_of(version: JobVersion) -> Job:
    fields = {name: value for name, value in version.definition.items() if name in DEFINED}
    return Job(pk=version.job_id, **fields)


def _are_same(newer: Mapping[str, Any], older: Mapping[str, Any]) -> bool:
    return all(is_same(newer.get(name), older.get(name)) for name in DEFINED)


def differences(
    opened: Mapping[str, Any], stored: Mapping[str, Any], own: Mapping[str, Any], labels: Mapping[str, str]
) -> list[Difference]:
    """Return the inputs in which `stored` and `own` differ, by their labels."""
    found = (
        Difference(labels[name], _text(opened.get(name)), _text(stored.get(name)), _text(value))
        for name, value in own.items()
    )
    return [one for one in found if one.stored != one.own]


def _text(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    text = "yes" if value is True or value == "on" else str(value).replace("\r\n", "\n").strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
