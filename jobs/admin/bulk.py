"""The page that asks before an action on many rows: it names the rows and the effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from .base import actor_of
from .pages import page
from .request_time import request_now
from .row_actions import Call, RowAction

NAMED = 20
"""Rows that the page names; it counts the rest."""
TYPED = 5
"""Rows above which an action that cannot be undone needs their number typed."""


class CountForm(forms.Form):
    """The number of the rows, typed, against actions by a slip of the hand that cannot be undone."""

    count = forms.CharField(widget=forms.TextInput({"class": "short", "autocomplete": "off", "inputmode": "numeric"}))

    def __init__(self, data: Any = None, *, number: int) -> None:
        """Ask for `number`."""
        super().__init__(data)
        self.number = number
        self.fields["count"].label = f"Type {number} to confirm"

    def clean_count(self) -> str:
        """Return the typed number, if it is right."""
        typed: str = self.cleaned_data["count"]
        if typed.strip().replace(",", "") != str(self.number):
            raise ValidationError(f"Type {self.number}, the number of rows.")
        return typed


def confirm(
    admin: ModelAdmin, request: HttpRequest, name: str, action: RowAction, keys: Sequence[Any], back: str = ""
) -> HttpResponse | Mapping[str, Any]:
    """Return the data of the form of a confirmed action, or else the page that asks.

    `back` is the address behind Cancel, if it is not that of the request.
    If a whole list was chosen and its rows have changed since they were shown, the page asks again.
    """
    if action.effects is None:
        return request.POST
    sent = request.POST.get("post") == "yes"
    form = _form(action, keys, request.POST if sent else None)
    changed = sent and request.POST.get("expected", str(len(keys))) != str(len(keys))
    if sent and not changed and (form is None or form.is_valid()):
        return form.cleaned_data if form is not None else request.POST
    return _page(admin, request, name, action, keys, form, changed, back or request.get_full_path())


def _form(action: RowAction, keys: Sequence[Any], data: Any) -> forms.Form | None:
    if action.form is not None:
        return action.form(data)
    return CountForm(data, number=len(keys)) if action.danger and len(keys) > TYPED else None


def _page(
    admin: ModelAdmin, request: HttpRequest, name: str, action: RowAction, keys: Sequence[Any],
    form: forms.Form | None, changed: bool, back: str,
) -> HttpResponse:  # fmt: skip
    opts = admin.opts
    call = Call(now=request_now(request), actor=actor_of(request), site=admin.admin_site)
    title = action.of_many(len(keys), str(opts.verbose_name), str(opts.verbose_name_plural))
    across = request.POST.get("select_across") == "1"
    assert action.effects is not None  # noqa: S101
    return page(
        admin.admin_site, request, "cronzimus/confirm.html", title=title, live_url="", opts=opts, action_name=name,
        names=[str(key) for key in keys[:NAMED]], more=max(len(keys) - NAMED, 0), number=len(keys),
        effects=action.effects(keys, call), form=form, danger=action.danger, changed=changed,
        across=across, selected=keys[:1] if across else keys, url=request.get_full_path(),
        back=back, plural=opts.verbose_name_plural,
    )  # fmt: skip
