"""Roles of people, scopes of tokens, and the permissions that each of them has.

Roles and scopes are levels of one ladder: each includes those before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Scope(StrEnum):
    """The actions that a token allows, if its user may do them too."""

    READ = "read"
    """See jobs, runs and schedulers."""
    RUN = "run"
    """Run jobs, retry and cancel runs, pause and resume jobs, skip fire times."""
    WRITE = "write"
    """Create, change and delete jobs."""
    ADMIN = "admin"
    """Pause everything, manage tokens and alerts, see the audit."""


GAINED: Mapping[Scope, tuple[str, ...]] = {
    Scope.READ: ("view_job", "view_run", "view_scheduler", "view_incident"),
    Scope.RUN: ("run_job", "pause_job", "cancel_run", "retry_run", "change_incident"),
    Scope.WRITE: ("add_job", "change_job", "delete_job"),
    Scope.ADMIN: (
        "pause_all", "view_token", "add_token", "change_token", "delete_token", "view_alertrule", "add_alertrule",
        "change_alertrule", "delete_alertrule", "view_channel", "add_channel", "change_channel", "delete_channel",
        "view_delivery", "change_delivery", "view_auditevent",
    ),
}  # fmt: skip
"""The permissions that each level adds to those before it."""

ROLES: Mapping[str, Scope] = {
    "Cronzimus viewer": Scope.READ,
    "Cronzimus operator": Scope.RUN,
    "Cronzimus editor": Scope.WRITE,
    "Cronzimus admin": Scope.ADMIN,
}
"""The groups that the app creates, each with the highest level of its members."""

_LADDER = tuple(Scope)
_SCOPE_OF = {permission: scope for scope, permissions in GAINED.items() for permission in permissions}


def permissions_of(scope: Scope) -> tuple[str, ...]:
    """Return the permissions of a level, with those of the levels before it."""
    levels = _LADDER[: _LADDER.index(scope) + 1]
    return tuple(permission for level in levels for permission in GAINED[level])


def scope_of(permission: str) -> Scope:
    """Return the lowest scope that has a permission. Raises `KeyError` for a permission that is not in `GAINED`."""
    return _SCOPE_OF[permission]


def allows(scopes: Iterable[str], permission: str) -> bool:
    """Tell whether one of `scopes` has a permission. An unknown scope has none."""
    needed = _LADDER.index(scope_of(permission))
    return any(scope in _LADDER and _LADDER.index(Scope(scope)) >= needed for scope in scopes)
