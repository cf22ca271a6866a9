"""The audit: the names of actions, and the origin of a change (who acts, and through which door).

Each door keeps the origin of a request or a command in a context variable while it is served, and the audit reads it
there. So services need not pass on an address that only the audit records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import StrEnum

from .log_context import REQUEST_ID, request_id


class Door(StrEnum):
    """The interface through which a change is made."""

    API = "api"
    ADMIN = "admin"
    COMMAND = "command"
    """The command line."""
    FILE = "file"
    """An applied file of jobs, or an import."""
    SETTINGS = "settings"
    """The jobs that the settings declare."""
    SCHEDULER = "scheduler"
    """The scheduler by itself, or through APScheduler's interface."""
    CODE = "code"
    """Python code that calls the services, such as the project's."""


class Action(StrEnum):
    """An action that the audit records."""

    JOB_ADDED = "job_added"
    JOB_UPDATED = "job_updated"
    JOB_REVERTED = "job_reverted"
    JOB_REMOVED = "job_removed"
    JOB_PAUSED = "job_paused"
    JOB_RESUMED = "job_resumed"
    JOB_SKIPPED = "job_skipped"
    RUN_QUEUED = "run_queued"
    RUN_TESTED = "run_tested"
    RUN_CANCELLED = "run_cancelled"
    RUN_RETRIED = "run_retried"
    BACKFILL_STARTED = "backfill_started"
    BACKFILL_CANCELLED = "backfill_cancelled"
    ALL_PAUSED = "all_paused"
    ALL_RESUMED = "all_resumed"
    SCHEDULER_DRAINED = "scheduler_drained"
    SCHEDULER_RESUMED = "scheduler_resumed"
    INCIDENT_ACKNOWLEDGED = "incident_acknowledged"
    RULE_ADDED = "rule_added"
    RULE_UPDATED = "rule_updated"
    RULE_REMOVED = "rule_removed"
    CHANNEL_ADDED = "channel_added"
    CHANNEL_UPDATED = "channel_updated"
    CHANNEL_REMOVED = "channel_removed"
    TEST_SENT = "test_sent"
    MESSAGE_SENT_AGAIN = "message_sent_again"
    TOKEN_MADE = "token_made"  # noqa: S105 (a name)
    TOKEN_ROTATED = "token_rotated"  # noqa: S105 (a name)
    TOKEN_DISABLED = "token_disabled"  # noqa: S105 (a name)
    TOKEN_ENABLED = "token_enabled"  # noqa: S105 (a name)
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 (a name)

    @property
    def words(self) -> str:
        """The action as pages show it: "job added"."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who acts, and from where. Unknown parts are empty."""

    actor: str = ""
    door: Door = Door.CODE
    token: str = ""
    """The first characters of the token that was used."""
    address: str = ""
    request_id: str = ""


_origin: ContextVar[Origin] = ContextVar("origin of the current change", default=Origin())  # noqa: B039 (it is frozen)


def origin_of(meta: Mapping[str, str], door: Door, *, actor: str = "") -> Origin:
    """Return the origin of a request, from its WSGI environment.

    The client's address that a proxy reports follows the proxy's own address, because anybody could have written it.
    The request's id is the one in the log, or else the header X-Request-ID.
    """
    address, forwarded = meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", "").strip()
    if forwarded:
        address = f"{address or 'a proxy'}, for {forwarded.encode('ascii', 'replace').decode()[:60]}"
    known = request_id.get() or meta.get("HTTP_X_REQUEST_ID", "")
    return Origin(actor=actor, door=door, address=address, request_id=known if REQUEST_ID.fullmatch(known) else "")


def current_origin() -> Origin:
    """Return the origin of the current change."""
    return _origin.get()


def current_actor() -> str:
    """Return who acts now, "" if that is not known."""
    return _origin.get().actor


@contextmanager
def acting(origin: Origin) -> Iterator[None]:
    """Give this origin to all that the audit records within the context."""
    token = _origin.set(origin)
    try:
        yield
    finally:
        _origin.reset(token)


def identify(actor: str, *, token: str = "") -> None:
    """Set who acts, once that is known. Call it within `acting`, which resets it at its end."""
    _origin.set(replace(_origin.get(), actor=actor, token=token))
