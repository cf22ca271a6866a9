"""Actions on rows other than editing: on one row, or on many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite, ModelAdmin
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..core.exceptions import CronzimusError, InvalidRequest
from ..core.traces import traceparent_of
from .base import model_url
from .request_time import request_now

Row = TypeVar("Row", bound=Model)

NAMED = 10
"""Rows that a message names; it counts the rest."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """The call of an action: the instant, the site, the trace (`core.traces`), and the request's data."""

    now: datetime
    site: AdminSite
    data: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None


@dataclass(frozen=True, kw_only=True)
class RowAction:
    """An action on a row. `do(key, call)` does it and returns the words for the message.

    `permissions` name methods of the ModelAdmin: "change" is `has_change_permission`. All are needed.
    """

    label: str
    done: str
    permissions: tuple[str, ...]
    do: Callable[[Any, Call], SafeString]
    bulk: str = ""
    """Its name for many rows: "Run {} now", where {} stands for "12 jobs"."""
    effects: Callable[[Sequence[Any], Call], list[str]] | None = None
    """Describes its effect on the rows of many keys, in sentences. With it, a page asks first for many rows."""
    form: type[forms.Form] | None = None
    """Further questions for many rows."""
    danger: bool = False
    """Whether it cannot be undone."""

    def of_many(self, number: int, singular: str, plural: str) -> str:
        """Return its name for `number` rows: "Delete 2 jobs"."""
        return (self.bulk or f"{self.label} {{}}").format(f"{number:,} {singular if number == 1 else plural}")


def stored(model: type[Row], key: Any) -> Row:
    """Return the row of `model` with the key `key`. Raises `InvalidRequest` if there is none."""
    try:
        return model._default_manager.get(pk=key)
    except (ObjectDoesNotExist, ValueError) as error:
        raise InvalidRequest(f"there is no such {model._meta.verbose_name}") from error


def change_link(site: AdminSite, row: Model, text: str = "") -> SafeString:
    """Return a link to the page of a row."""
    return format_html('<a href="{}">{}</a>', model_url(site, type(row), "change", row.pk), text or str(row.pk))


def perform(admin: Any, request: HttpRequest, action: RowAction, keys: Iterable[Any], data: Mapping[str, Any]) -> None:
    """Do `action` with the row of each of `keys`, log it, and show messages.

    Each row has a transaction of its own, so that a refusal does not stop the others. `admin` is a `RowActionAdmin`.
    `data` is the data of the request.
    """
    done: list[SafeString] = []
    refused: list[SafeString] = []
    call = Call(
        now=request_now(request), site=admin.admin_site, data=data,
        traceparent=traceparent_of(request.headers.get("traceparent")),
    )  # fmt: skip
    for key in keys:
        try:
            done.append(action.do(key, call))
        except CronzimusError as error:
            refused.append(format_html("{}: {}", key, str(error)))
        else:
            log_action(admin, request, admin.logged_row(key), f"{action.done}.")
    _tell(admin, request, action.done, done, messages.SUCCESS)
    _tell(admin, request, f"{action.label}, not possible", refused, messages.ERROR)


def log_action(admin: ModelAdmin, request: HttpRequest, row: Model | None, what: str) -> None:
    """Write an entry to the log of `row`; None if the row is gone."""
    if row is not None:
        admin.log_change(request, row, what)


def _tell(admin: ModelAdmin, request: HttpRequest, what: str, named: list[SafeString], level: int) -> None:
    if named:
        rest = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        listed = format_html_join("; ", "{}", ((name,) for name in named[:NAMED]))
        admin.message_user(request, format_html("{}: {}{}.", what, listed, rest), level)
