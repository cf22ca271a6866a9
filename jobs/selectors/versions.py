"""The versions of a job's definition, and how two of them differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.db.models import QuerySet

from ..core.audit import Action, Door
from ..core.exceptions import VersionNotFound
from ..core.json import is_same
from ..definitions.validation import DEFINITION_FIELDS, POLICY_FIELDS
from ..models import Job, JobVersion

FIELDS = (*DEFINITION_FIELDS, "trigger", "paused", *POLICY_FIELDS)
"""The fields of a job that a version has: all that people can set."""

CHUNK = 5
"""Versions that are read at once: a definition may have some hundred kilobytes."""

Definition = dict[str, Any]
"""The values of `FIELDS`."""
Differences = dict[str, tuple[Any, Any]]
"""The older value and the newer one, by field; None if a version does not have the field."""


def whole_definition(job: Job) -> Definition:
    """Return the definition of a job: all fields that people can set."""
    return {name: getattr(job, name) for name in FIELDS}


def numbers_of(job_id: str) -> list[int]:
    """Return the numbers of a job's versions, or of those of a job that was removed, the newest first.

    The first is that of the current definition, even of a job that was changed without the services, as by a fixture.
    """
    found = list(_kept(job_id).values_list("number", flat=True))
    current = Job.objects.filter(pk=job_id).values_list("version", flat=True).first()
    return [current, *found] if current is not None and current > max(found, default=-1) else found


def versions_of(job_id: str, numbers: Collection[int]) -> dict[int, JobVersion]:
    """Return a job's versions with these `numbers`, by their number."""
    found = {version.number: version for version in _kept(job_id).filter(number__in=numbers)}
    unsaved = Job.objects.filter(pk=job_id, version__in=set(numbers) - set(found)).first()
    return found if unsaved is None else {**found, unsaved.version: _unsaved(unsaved)}


def with_older(job_id: str) -> Iterator[tuple[JobVersion, Definition | None]]:
    """Yield the versions of `numbers_of`, each with the definition before it. A few at a time are in memory."""
    newer: JobVersion | None = None
    for version in _each(job_id):
        if newer is not None:
            yield newer, version.definition
        newer = version
    if newer is not None:
        yield newer, None


def has_versions(job_id: str) -> bool:
    """Tell whether there is, or was, such a job."""
    return Job.objects.filter(pk=job_id).exists() or JobVersion.objects.filter(job_id=job_id).exists()


def _kept(job_id: str) -> QuerySet[JobVersion]:
    return JobVersion.objects.filter(job_id=job_id).order_by("-number")


def _each(job_id: str) -> Iterator[JobVersion]:
    kept = _kept(job_id)
    newest = kept.values_list("number", flat=True).first()
    job = Job.objects.filter(pk=job_id).first()
    if job is not None and (newest is None or newest < job.version):
        yield _unsaved(job)
    yield from kept.iterator(chunk_size=CHUNK)


def version_of(job_id: str, number: int) -> JobVersion:
    """Return one version of a job. Raises `VersionNotFound`."""
    found = versions_of(job_id, [number])
    if not found:
        raise VersionNotFound(f"there is no version {number} of job {job_id[:64]!r}")
    return found[number]


def differences(older: Mapping[str, Any], newer: Mapping[str, Any]) -> Differences:
    """Return the fields in which two definitions differ, in the order of the newer one."""
    names = [*newer, *(name for name in older if name not in newer)]
    pairs = {name: (older.get(name), newer.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if not is_same(*pair)}


def _unsaved(job: Job) -> JobVersion:
    return JobVersion(
        job_id=job.pk, number=job.version, at=job.updated_at, door=Door.CODE, action=Action.JOB_ADDED,
        definition=whole_definition(job),
    )  # fmt: skip
