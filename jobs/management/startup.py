"""Checks before a scheduler starts: its settings, the database, the tables, the declared jobs."""

from __future__ import annotations

import logging

from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from .. import checks, services
from ..conf import conf
from ..core.clock import SystemClock
from ..core.exceptions import CronzimusError
from ..core.zone_data import used_data
from ..db import readiness
from ..db.errors import is_unavailable, one_line
from ..db.readiness import NotYet, Unusable
from ..models import Scheduler
from ..scheduler import listeners
from ..scheduler.listeners import Listener

logger = logging.getLogger("cronzimus.runscheduler")

OTHER_CONNECTIONS = 3
"""Connections of a scheduler beside those of its functions: for the loop, to listen for changes, and for the tasks in
the background."""
ALLOWED_CONNECTIONS = """
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database() AND NOT rolsuper),
    (SELECT nullif(rolconnlimit, -1) WHERE NOT rolsuper)
) FROM pg_roles WHERE rolname = current_user
"""
"""The connections that PostgreSQL lets the current role have; limits of roles and databases do not bind superusers."""


def require_settings() -> None:
    """Raise `CommandError` for wrong settings."""
    errors = [f"{error.msg} {error.hint} ({error.id})" for error in checks.errors()]
    if errors:
        raise CommandError("\n".join(errors))


def require_tables() -> None:
    """Raise `CommandError` unless the database answers and has all tables."""
    try:
        readiness.require_tables()
    except (NotYet, Unusable) as error:
        raise CommandError(str(error)) from error


def wait_for_tables() -> None:
    """Wait until the database answers and has all tables; meanwhile log what is missing.

    At boot a scheduler may start before its database, and in a deployment before the migrations.
    """
    try:
        readiness.wait(readiness.require_tables, logger)
    except Unusable as error:
        raise CommandError(str(error)) from error


def require_sessions() -> None:
    """Raise `CommandError` if a pooler between us and PostgreSQL hands each transaction to another connection."""
    try:
        readiness.require_sessions()
    except Unusable as error:
        raise CommandError(str(error)) from error


def make_declared_jobs() -> None:
    """Make the jobs that `conf.JOBS` declares, waiting for locks. Raises `CommandError` if one is wrong."""
    try:
        readiness.wait(_make_declared_jobs, logger)
    except CronzimusError as error:
        raise CommandError(str(error)) from error


def follow_time_zones() -> None:
    """Recompute next fire times if the time zone or its data has changed; warn of schedulers with other data."""
    readiness.wait(_follow_time_zones, logger)


def _follow_time_zones() -> None:
    now = SystemClock().now()
    try:
        services.follow_time_zones(now=now)
        others = list(Scheduler.objects.with_other_zone_data(now))
    except DatabaseError as error:
        connection.close()
        if not is_unavailable(error):
            raise CommandError(f"next fire times cannot be computed: {one_line(error)}") from error
        raise NotYet(f"next fire times cannot be computed: {one_line(error)}") from error
    if others:
        named = ", ".join(f"{other.pk} ({other.zone_data or 'unknown'})" for other in others)
        logger.warning(
            "other schedulers use other time zone data than this one's %s, and may claim other fire times: %s",
            used_data(), named, extra={"action": "zone_data_differs"},
        )  # fmt: skip


def load_listeners() -> list[Listener]:
    """Return the functions that `conf.LISTENERS` names. Raises `CommandError` for wrong names."""
    try:
        return listeners.load(conf.LISTENERS)
    except ValueError as error:
        raise CommandError(f"LISTENERS: {error}") from error


def warn_of_connections(threads: int, processes: int) -> None:
    """Warn if PostgreSQL allows fewer connections than the functions of one scheduler may need."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(ALLOWED_CONNECTIONS)
        (allowed,) = cursor.fetchone()
    needed = threads + processes + OTHER_CONNECTIONS
    if needed > allowed:
        logger.warning(
            "%d threads and %d processes may need %d connections, and PostgreSQL allows %d: "
            "lower SCHEDULER_THREADS, or raise max_connections or the limit of the role or database",
            threads, processes, needed, allowed, extra={"action": "too_few_connections"},
        )  # fmt: skip


def warn_of_later_migrations() -> None:
    """Warn if a later version has migrated the database."""
    if later := sorted(readiness.applied_migrations() - readiness.known_migrations()):
        logger.warning(
            "the database is that of a later version, which has made %s: install that version here",
            ", ".join(later), extra={"action": "migrations_ahead"},
        )  # fmt: skip


def warn_of_encoding() -> None:
    """Warn if the database cannot store all text."""
    for warning in checks.check_encoding(None, databases=[connection.alias]):
        logger.warning("%s %s", warning.msg, warning.hint, extra={"action": "encoding_not_utf8"})


def _make_declared_jobs() -> None:
    try:
        services.sync_declared_jobs(conf.JOBS, now=SystemClock().now())
    except DatabaseError as error:
        connection.close()
        if not is_unavailable(error):
            raise CommandError(f"the declared jobs cannot be made: {one_line(error)}") from error
        raise NotYet(f"the declared jobs cannot be made: {one_line(error)}") from error
