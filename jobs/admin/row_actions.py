"""What people do with a row beside editing it: with one row, or with many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..core.exceptions import CronzimusError
from .base import actor_of, model_url
from .request_time import request_now

NAMED = 10
"""Rows that a message names; it counts the rest."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who takes an action, when, and on which site."""

    now: datetime
    actor: str
    site: AdminSite


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """One thing to do with a row. `do(key, call)` does it and returns the words for the message.

    `permissions` name methods of the ModelAdmin: "change" is `has_change_permission`. All are needed.
    """

    label: str
    done: str
    permissions: tuple[str, ...]
    do: Callable[[Any, Call], SafeString]
    bulk: str = ""
    """The name in the list of bulk actions, where the label does not say enough."""


def change_link(site: AdminSite, row: Model, text: str = "") -> SafeString:
    """Return a link to the page of a row."""
    return format_html('<a href="{}">{}</a>', model_url(site, type(row), "change", row.pk), text or str(row.pk))


def perform(
    admin: ModelAdmin, request: HttpRequest, action: RowAction, keys: Iterable[Any], row: Callable[[Any], Model | None]
) -> None:
    """Take `action` with the row of each of `keys`, log it, and tell what was done.

    Each is a transaction of its own: a refusal stops none of the others. `row` returns the row that the log names.
    """
    done: list[SafeString] = []
    refused: list[SafeString] = []
    call = Call(now=request_now(request), actor=actor_of(request), site=admin.admin_site)
    for key in keys:
        try:
            done.append(action.do(key, call))
        except CronzimusError as error:
            refused.append(format_html("{}: {}", key, str(error)))
        else:
            log_action(admin, request, row(key), f"{action.done}.")
    _tell(admin, request, action.done, done, messages.SUCCESS)
    _tell(admin, request, f"{action.label}, not possible", refused, messages.ERROR)


def log_action(admin: ModelAdmin, request: HttpRequest, row: Model | None, what: str) -> None:
    """Write to the log of `row` what was done with it. None: it is gone, and there is no log to write to."""
    if row is not None:
        admin.log_change(request, row, what)


def _tell(admin: ModelAdmin, request: HttpRequest, what: str, named: list[SafeString], level: int) -> None:
    if named:
        rest = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        listed = format_html_join("; ", "{}", ((name,) for name in named[:NAMED]))
        admin.message_user(request, format_html("{}: {}{}.", what, listed, rest), level)
