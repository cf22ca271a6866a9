"""/scheduler/jobs/{id}/versions: earlier definitions of a job, and the way back to them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ... import services
from ...core.exceptions import VersionNotFound
from ...core.secrets import masked
from ...models import JobVersion
from ...selectors.versions import differences, has_versions, version_of, with_older
from .. import query
from ..access import access_of
from ..conditional import check_version, require_no_match
from ..parsers import optional_body_of
from ..representations import utc
from .base import SchedulerView

MAX_NUMBER = 2**31 - 1
"""The greatest number of a version."""


class VersionsView(SchedulerView):
    """The versions of one job."""

    needs = {"get": ("view_job",)}

    def get(self, request: Request, job_id: str) -> Response:
        """List the versions of a job, even of a removed one, the newest first, each with its changes."""
        _require(request, job_id)
        hides, shown = not access_of(request).allows("change_job"), []
        for version, older in with_older(job_id):
            changes = None if older is None else _changes(older, version.definition, hides)
            shown.append({**_shown(version), "changes": changes})
        if not shown:
            raise services.job_not_found(job_id)
        return Response(shown)


class VersionView(SchedulerView):
    """One version of one job."""

    needs = {"get": ("view_job",)}

    def get(self, request: Request, job_id: str, number: str) -> Response:
        """Show the whole definition of a version, and its changes since the version `against`."""
        asked = query.query_of(request, {"against": query.whole(1, MAX_NUMBER)})
        version = _version(request, job_id, number)
        hides = not access_of(request).allows("change_job")
        definition = masked(version.definition) if hides else version.definition
        shown = {**_shown(version), "definition": definition}
        if asked["against"] is not None:
            older = version_of(job_id, asked["against"])
            shown["changes"] = _changes(older.definition, version.definition, hides)
        return Response(shown)


class RevertView(SchedulerView):
    """The way back to a version."""

    needs = {"post": ("change_job",)}

    def post(self, request: Request, job_id: str, number: str) -> Response:
        """Restore the definition of the version; a removed job is added again, paused."""
        optional_body_of(request)
        access = access_of(request)
        version = _version(request, job_id, number)
        access.require_tags(version.definition)

        def before_add() -> None:
            access.require("add_job")
            require_no_match(request, job_id)

        check = partial(check_version, request)
        job = services.revert_job(job_id, version.number, now=self.now, check=check, before_add=before_add)
        return Response({"id": job_id, "status": "reverted", "version": job.version})


def _require(request: Request, job_id: str) -> None:
    """Raise `PermissionDenied` for a job that the user may not see, `JobNotFound` for an id that no job can have."""
    access_of(request).require_job(job_id)
    if "\x00" in job_id:
        raise services.job_not_found(job_id)


def _version(request: Request, job_id: str, number: str) -> JobVersion:
    is_number = number.isascii() and number.isdigit() and len(number) <= len(str(MAX_NUMBER))
    _require(request, job_id)
    if is_number:
        with suppress(VersionNotFound):
            return version_of(job_id, int(number))
    if not has_versions(job_id):
        raise services.job_not_found(job_id)
    raise VersionNotFound(f"there is no version {number[:20]!r} of job {job_id[:64]!r}")


def _shown(version: JobVersion) -> dict[str, Any]:
    return {
        "version": version.number, "at": utc(version.at), "actor": version.actor, "door": version.door,
        "action": version.action, "reverted_to": version.reverted_to,
    }  # fmt: skip


def _changes(older: Mapping[str, Any], newer: Mapping[str, Any], hides: bool) -> dict[str, list[Any]]:
    changes = {name: list(pair) for name, pair in differences(older, newer).items()}
    return (
        {name: [masked({name: value})[name] for value in pair] for name, pair in changes.items()} if hides else changes
    )
