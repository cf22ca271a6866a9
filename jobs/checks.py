"""Mistakes in the settings, found before anything runs; some as system checks, with an id and a hint."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from django.db import connection

from .conf import conf
from .definitions import policies

MIN_SQLITE = (3, 38)
"""The oldest version of SQLite that will do."""


def register_checks() -> None:
    """Register the checks of this module with Django."""
    register(check_sqlite, Tags.database)
    register(check_open_api, Tags.security, deploy=True)


def require_valid_settings() -> None:
    """Raise `ImproperlyConfigured`, naming the variable, for a wrong setting that reading it did not show."""
    wrong = [f"JOB_DEFAULTS: {name} {text}" for name, text in policies.policy_problems(conf.JOB_DEFAULTS).items()]
    wrong += [
        f"JOB_HTTP_ALLOWED_NETWORKS: {network!r} is not a network, such as 10.1.0.0/16"
        for network in conf.JOB_HTTP_ALLOWED_NETWORKS
        if not _is_network(network)
    ]
    wrong += [
        f"JOB_COMMANDS: {command!r} is no management command"
        for command in conf.JOB_COMMANDS
        if command not in get_commands()
    ]
    if wrong:
        raise ImproperlyConfigured("wrong value in the environment\n  " + "\n  ".join(wrong))


def check_sqlite(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Find a SQLite too old for the statements that the scheduler uses (cronzimus.E001)."""
    if connection.vendor != "sqlite":
        return []
    import sqlite3  # here: on PostgreSQL nobody loads it

    if sqlite3.sqlite_version_info >= MIN_SQLITE:
        return []
    wanted = ".".join(map(str, MIN_SQLITE))
    return [Error(f"SQLite {sqlite3.sqlite_version} is too old", hint=f"Use {wanted} or later.", id="cronzimus.E001")]


def check_open_api(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """Warn of an API that needs no token on a server (cronzimus.W001)."""
    if conf.API_AUTH != "none":
        return []
    return [
        CheckWarning(
            "API_AUTH is none: whoever reaches the API may change jobs", hint="Set API_AUTH=token.", id="cronzimus.W001"
        )
    ]


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True
