"""Compare jobs in a file with the database, and make the database as the file says, in one transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from django.db import transaction

from .. import services
from ..core.exceptions import CronzimusError, InvalidFunction, InvalidRequest
from ..definitions import validation
from ..definitions.policies import default_policies
from ..functions import registry
from ..models import Job
from .export import EMPTY

Kind = Literal["create", "change", "unchanged", "pause", "invalid"]


@dataclass(slots=True, kw_only=True)
class Change:
    """What applying a file does to one job. `fields` has, by name, the value before and the value after."""

    kind: Kind
    id: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def compare(
    bodies: Sequence[Mapping[str, Any]], *, now: datetime, source: str = "", pause_missing: bool = False
) -> list[Change]:
    """Return what applying `bodies` would do, in their order; nothing is written.

    A field that a body leaves out has its default, except `paused`: a job stays paused or not, as it is.

    Args:
        bodies: the jobs of the file, flat as in the contract.
        now: aware; a new trigger must fire after it.
        source: the name of the file; jobs that came from it and are not in it are missing.
        pause_missing: whether missing jobs are to be paused.
    """
    known = Job.objects.in_bulk([body["id"] for body in bodies if isinstance(body.get("id"), str)])
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
    return changes


def apply(
    bodies: Sequence[Mapping[str, Any]], *, now: datetime, source: str = "", pause_missing: bool = False
) -> list[Change]:
    """Make the database as `bodies` say, all of it or nothing; return what was done. Arguments as for `compare`.

    Raises `InvalidRequest` that names every bad field of every job; nothing is changed then.
    """
    with transaction.atomic():
        changes = compare(bodies, now=now, source=source, pause_missing=pause_missing)
        refused = {f"{change.id}.{name}": text for change in changes for name, text in change.problems.items()}
        if refused:
            raise InvalidRequest(fields=refused)
        by_id = {str(body["id"]): body for body in bodies}
        for change in changes:
            if change.kind == "pause":
                services.pause_job(change.id, now=now)
            elif change.kind != "unchanged":
                _apply(by_id[change.id], change, now)
        Job.objects.filter(pk__in=by_id).exclude(source=source).update(source=source)
    return changes


def _compare(body: Mapping[str, Any], job: Job | None, index: int, now: datetime) -> Change:
    given, paused = _split(body)
    label = _label(body, index)
    if paused not in (None, True, False):
        return Change(kind="invalid", id=label, problems={"paused": "must be true or false"})
    try:
        if job is None:
            cleaned = validation.clean_job(given, now=now)
            after = {name: (None, value) for name, value in given.items() if name != "id"}
            return Change(kind="create", id=cleaned["id"], fields=after | ({"paused": (None, True)} if paused else {}))
        cleaned = validation.clean_job(_completed(given, job), now=now, job=job)
    except CronzimusError as error:
        return Change(kind="invalid", id=label, problems=error.fields or {"job": str(error)})
    fields = {name: (getattr(job, name), cleaned[name]) for name in validation.changed(job, cleaned)}
    if paused is not None and paused != job.paused:
        fields["paused"] = (job.paused, paused)
    return Change(kind="change" if fields else "unchanged", id=job.id, fields=fields)


def _apply(body: Mapping[str, Any], change: Change, now: datetime) -> None:
    given, paused = _split(body)
    if change.kind == "create":
        services.add_job(given, now=now, paused=bool(paused))
        return
    if change.fields.keys() - {"paused"}:
        named = {name: after for name, (_, after) in change.fields.items() if name != "paused"}
        services.update_job(change.id, named, now=now)
    if "paused" in change.fields:
        (services.pause_job if paused else services.resume_job)(change.id, now=now)


def _split(body: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    given = dict(body)
    return given, given.pop("paused", None)


def _completed(body: Mapping[str, Any], job: Job) -> dict[str, Any]:
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
