"""The groups of the four roles, made once after the migrations."""

from __future__ import annotations

from typing import Any

from django.apps import apps as installed_apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q

from ..core.roles import ROLES, permissions_of


def make_roles(sender: Any, *, using: str = DEFAULT_DB_ALIAS, apps: Any = installed_apps, **kwargs: Any) -> None:
    """Make the missing groups of the roles (a receiver of `post_migrate`).

    A group that exists keeps its permissions: people may have changed them.
    """
    if using != DEFAULT_DB_ALIAS or not _are_migrated(apps, sender.label):
        return
    missing = set(ROLES) - set(Group.objects.filter(name__in=ROLES).values_list("name", flat=True))
    if not missing:
        return
    # Django makes the permissions in a receiver of the same signal, which may come after this one.
    create_permissions(sender, verbosity=0, apps=installed_apps, using=using)
    for name in missing:
        group, _ = Group.objects.get_or_create(name=name)
        wanted = Q(content_type__app_label=sender.label, codename__in=permissions_of(ROLES[name]))
        group.permissions.set(Permission.objects.filter(wanted))


def _are_migrated(apps: Any, label: str) -> bool:
    """Tell whether the tables exist: `migrate … zero` sends the signal too."""
    try:
        apps.get_model("auth", "Group"), apps.get_model(label, "Token")
    except LookupError:
        return False
    return True
