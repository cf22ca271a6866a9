"""The cause of a refused page: the missing permission, and the role that has it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from ..core.roles import ROLES, scope_of
from ..models import Job

PAGES = {"changelist": "view", "change": "view", "history": "view", "add": "add", "delete": "delete", "edit": "change"}
"""The permission for each of Django's pages of a model. The handlers of our own pages name theirs."""


class Refused(PermissionDenied):
    """The user lacks `permission`: its codename."""

    def __init__(self, permission: str) -> None:
        """Name the permission."""
        super().__init__(f"It takes the permission {permission}.")
        self.permission = permission


def codename(word: str, model_name: str) -> str:
    """Return the codename of a permission that a ModelAdmin has a method for: "run" of jobs is "run_job"."""
    return next((name for name in (f"{word}_{model_name}", word) if role_of(name)), f"{word}_{model_name}")


def role_of(permission: str) -> str:
    """Return the lowest role that has a permission, without the name of the product; "" if none has."""
    try:
        scope = scope_of(permission)
    except KeyError:
        return ""
    return next(name for name, level in ROLES.items() if level is scope).rpartition(" ")[2]


def missing_permission(error: BaseException | None, request: HttpRequest) -> str:
    """Return the codename of the permission for want of which `request` was refused; "" if that is not known.

    Where `error` does not name it, it follows from the page.
    """
    if isinstance(error, Refused):
        return error.permission
    match = request.resolver_match
    admin: Any = getattr(match.func, "model_admin", None) if match is not None else None
    if match is None or admin is None or admin.opts.app_label != Job._meta.app_label:
        return ""
    page = str(match.url_name).rpartition("_")[2]
    permission = f"{PAGES.get(page, 'view')}_{admin.opts.model_name}"
    return "" if request.user.has_perm(f"{Job._meta.app_label}.{permission}") else permission
