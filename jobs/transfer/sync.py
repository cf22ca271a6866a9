"""Compare the jobs of a file with the database, and apply the file, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import transaction

from .. import services
from ..core.exceptions import CronzimusError, InvalidFunction, InvalidRequest
from ..definitions import validation
from ..definitions.policies import default_policies
from ..definitions.triggers import is_over
from ..functions import registry
from ..models import Job
from ..models.lookups import IsAmong
from . import alert_rules
from .changes import Change
from .export import EMPTY

Bodies = Sequence[Mapping[str, Any]]


def compare(
    bodies: Bodies, *, now: datetime, source: str = "", pause_missing: bool = False, alerts: Bodies = ()
) -> list[Change]:
    """Return the changes that applying a file would make: jobs in their order, then alert rules. Nothing is saved.

    A field that a job leaves out has its default, except `paused`, which stays as it is. The time of a job may have
    passed, because a file is applied again and again, also to an empty database; such a job is completed.

    Args:
        bodies: the jobs of the file, flat as in the contract.
        now: aware.
        source: the name of the file; jobs that came from it and are no longer in it are missing.
        pause_missing: whether to pause missing jobs.
        alerts: the alert rules of the file.
    """
    ids = [body["id"] for body in bodies if isinstance(body.get("id"), str)]
    known = {job.pk: job for job in Job.objects.filter(IsAmong("pk", ids))}
    times = Counter(str(body.get("id")) for body in bodies)
    changes = []
    for index, body in enumerate(bodies):
        if times[str(body.get("id"))] > 1:
            problem = {"id": "stands more than once in the file"}
            changes.append(Change(kind="invalid", id=_label(body, index), problems=problem))
        else:
            changes.append(_compare(body, known.get(str(body.get("id"))), index, now))
    if pause_missing:
        changes += [
            Change(kind="pause", id=job.id, fields={"paused": (False, True)}) for job in _missing(source, bodies)
        ]
    return [*changes, *alert_rules.compare(alerts, new_jobs=ids)]


def apply(
    bodies: Bodies, *, now: datetime, source: str = "", pause_missing: bool = False, alerts: Bodies = ()
) -> list[Change]:
    """Apply a file, all of it or nothing; return the changes. The arguments are those of `compare`.

    Raises `InvalidRequest` that names every bad field of every job and rule; then nothing is changed.
    """
    with transaction.atomic():
        changes = compare(bodies, now=now, source=source, pause_missing=pause_missing, alerts=alerts)
        refused = {f"{change.id}.{name}": text for change in changes for name, text in change.problems.items()}
        if refused:
            raise InvalidRequest(fields=refused)
        by_id = {str(body["id"]): body for body in bodies}
        rules = {body["name"]: body for body in alerts}
        for change in changes:
            if change.what == "alert rule":
                alert_rules.apply(rules[change.id], change, now=now)
            elif change.kind == "pause":
                services.pause_job(change.id, now=now)
            elif change.kind != "unchanged":
                _apply(by_id[change.id], change, now)
        Job.objects.filter(IsAmong("pk", by_id)).exclude(source=source).update(source=source)
    return changes


def _compare(body: Mapping[str, Any], job: Job | None, index: int, now: datetime) -> Change:
    try:
        given = body if job is None else _with_defaults(body, job)
        cleaned = validation.clean_job(given, now=now, job=job, allow_past=True)
    except CronzimusError as error:
        return Change(kind="invalid", id=_label(body, index), problems=error.fields or {"job": str(error)})
    if job is None:
        after = {name: (None, value) for name, value in body.items() if (name, value) != ("paused", False)}
        del after["id"]
        return Change(kind="create", id=cleaned["id"], fields=after, notes=_notes(cleaned, now))
    fields = {name: (getattr(job, name), cleaned[name]) for name in validation.changed(job, cleaned)}
    notes = _notes(cleaned, now) if "trigger" in fields else []
    return Change(kind="change" if fields else "unchanged", id=job.id, fields=fields, notes=notes)


def _notes(cleaned: Mapping[str, Any], now: datetime) -> list[str]:
    return ["its time has passed: it is completed"] if is_over(Job(**cleaned), now) else []


def _apply(body: Mapping[str, Any], change: Change, now: datetime) -> None:
    if change.kind == "create":
        services.add_job(body, now=now, allow_past=True)
        return
    named = {name: after for name, (_, after) in change.fields.items()}
    services.update_job(change.id, named, now=now, allow_past=True)


def _with_defaults(body: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """Return `body` with the default of each field that it leaves out."""
    defaults = {**EMPTY, **default_policies()}
    with suppress(InvalidFunction):  # the validator refuses it
        defaults["name"] = registry.lookup(body.get("func")).name
    return {**defaults, **body}


def _missing(source: str, bodies: Iterable[Mapping[str, Any]]) -> list[Job]:
    named = {str(body.get("id")) for body in bodies}
    return [job for job in Job.objects.filter(source=source, paused=False) if source and job.id not in named]


def _label(body: Mapping[str, Any], index: int) -> str:
    job_id = body.get("id")
    return job_id[:64] if isinstance(job_id, str) and job_id else f"jobs[{index}]"
