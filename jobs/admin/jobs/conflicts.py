"""Conflicts between two people who edit one job: detection, and the differences of the two versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType

from ...definitions import validation
from ...models import Job

LONGEST = 200
"""Characters of a value that are shown."""


class Difference(NamedTuple):
    """An input whose stored and sent values differ."""

    name: str
    stored: str
    own: str


def version_of(job: Job) -> str:
    """Return a value that identifies the definition of a job. It does not change with a pause, a resume or a run."""
    names = ("trigger", *validation.DEFINITION_FIELDS, *validation.POLICY_FIELDS)
    text = json.dumps([getattr(job, name) for name in names], sort_keys=True, default=str)
    return blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def differences(stored: Mapping[str, Any], own: Mapping[str, Any], labels: Mapping[str, str]) -> list[Difference]:
    """Return the inputs in which `stored` and `own` differ, by their labels."""
    found = ((labels[name], _text(stored.get(name)), _text(value)) for name, value in own.items())
    return [Difference(*row) for row in found if row[1] != row[2]]


def last_change(job: Job) -> tuple[str, datetime] | None:
    """Return the person and the time of the last change of a job in the admin."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(Job), object_id=job.pk, action_flag=CHANGE
    ).select_related("user").order_by("-action_time")  # fmt: skip
    entry = entries.first()
    return (entry.user.get_username(), entry.action_time) if entry is not None else None


def _text(value: Any) -> str:
    if value is None or value is False or value == "":
        return ""
    text = "yes" if value is True or value == "on" else str(value).replace("\r\n", "\n").strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
