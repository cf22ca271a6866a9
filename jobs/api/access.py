"""Authorisation: the permissions of a request's user, within the scopes and tags of its token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from .. import services
from ..core.roles import ROLES, allows, scope_of
from ..models import Job, Run, Token
from ..models.job import JobQuerySet
from ..models.run import RunQuerySet

APP = "cronzimus"
"""The label under which Django keeps the permissions."""


@dataclass(frozen=True, slots=True)
class Access:
    """The user of a request, and the limits of its token. Without a user, the API is open and everything is allowed."""

    user: Any = None
    token: Token | None = None

    @property
    def actor(self) -> str:
        """The name under which writes are recorded; "" if the API is open."""
        return "" if self.user is None else str(self.user.get_username())

    @property
    def tags(self) -> tuple[str, ...] | None:
        """The tags of which a reachable job has at least one; None if all jobs can be reached."""
        if self.token is None or self.token.tags == []:
            return None
        return tuple(map(str, self.token.tags)) if isinstance(self.token.tags, list) else ()

    def jobs(self) -> JobQuerySet:
        """Return the jobs that can be reached."""
        return Job.objects.all() if self.tags is None else Job.objects.tagged(*self.tags)

    def runs(self) -> RunQuerySet:
        """Return the runs that can be reached: for a token with tags, the runs of the jobs that it reaches."""
        return Run.objects.all() if self.tags is None else Run.objects.filter(job__in=self.jobs().order_by())

    def reaches(self, job_id: str) -> bool:
        """Tell whether a job can be reached. Without a limit all can, removed ones too."""
        return self.tags is None or self.jobs().filter(pk=job_id).exists()

    def require_job(self, job_id: str) -> None:
        """Raise `JobNotFound` for a job that cannot be reached, as for one that does not exist."""
        if self.tags is not None and not self.reaches(services.get_job(job_id).pk):
            raise services.job_not_found(job_id)

    def require_tags(self, body: Mapping[str, Any]) -> None:
        """Raise `PermissionDenied` if a job with the tags of `body` could not be reached any more."""
        given = body.get("tags", [])
        if self.tags is not None and isinstance(given, list) and not any(tag in self.tags for tag in given):
            raise PermissionDenied(f"This token reaches only jobs with one of the tags {', '.join(self.tags)}.")

    def require(self, permission: str, *more: str) -> None:
        """Raise `PermissionDenied`, with the reason, unless the request has one of the permissions."""
        refusals = [self._refusal(name) for name in (permission, *more)]
        if all(refusals):
            raise PermissionDenied(refusals[0])

    def allows(self, permission: str) -> bool:
        """Tell whether the request has a permission."""
        return not self._refusal(permission)

    def _refusal(self, permission: str) -> str:
        """Return the reason if a permission is missing, else ""."""
        if self.user is None:
            return ""
        name = self.user.get_username()
        if not self.user.has_perm(f"{APP}.{permission}"):
            return f"This needs the permission {APP}.{permission}, which the user {name} does not have."
        if not _counts(self.user):
            return f"The user {name} is neither staff nor a member of a Cronzimus role."
        if self.token is not None and not allows(_scopes(self.token), permission):
            return f"This needs a token with the scope {scope_of(permission)}."
        if self.tags is not None and permission == "pause_all":
            return "A token that is limited to tags cannot pause or resume everything."
        return ""


def access_of(request: Request) -> Access:
    """Return the access of a request that has been authenticated."""
    return cast(Access, request.auth)


def _counts(user: Any) -> bool:
    # Users who are not staff cannot use the admin. A role also counts for programs' users, who need no admin.
    return bool(getattr(user, "is_staff", False)) or user.groups.filter(name__in=ROLES).exists()


def _scopes(token: Token) -> Sequence[str]:
    return token.scopes if isinstance(token.scopes, list) else ()
