"""The page that asks before an action on many rows: it names the rows and the effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The question before an action with the rows of `keys`. `name` is the name of the action among the bulk actions.

    `back` is the address behind Cancel, if it is not that of the request.
    """

    admin: ModelAdmin
    request: HttpRequest
    name: str
    action: RowAction
    keys: Sequence[Any]
    back: str = ""

    def answer(self) -> HttpResponse | Mapping[str, Any]:
        """Return the data of the form of a confirmed action, or else the page that asks.

        If a whole list was chosen and its rows have changed since they were shown, the page asks again.
        """
        sent = self.request.POST
        if self.action.effects is None:
            return sent
        confirmed, number = sent.get("post") == "yes", str(len(self.keys))
        form = self._form(sent if confirmed else None)
        changed = confirmed and sent.get("expected", number) != number
        if confirmed and not changed and (form is None or form.is_valid()):
            return form.cleaned_data if form is not None else sent
        return self._page(form, changed)

    def _form(self, data: Any) -> forms.Form | None:
        if self.action.form is not None:
            return self.action.form(data)
        number = len(self.keys)
        return CountForm(data, number=number) if self.action.danger and number > TYPED else None

    def _page(self, form: forms.Form | None, changed: bool) -> HttpResponse:
        opts, keys, address = self.admin.opts, self.keys, self.request.get_full_path()
        call = Call(now=request_now(self.request), site=self.admin.admin_site)
        title = self.action.of_many(len(keys), str(opts.verbose_name), str(opts.verbose_name_plural))
        across = self.request.POST.get("select_across") == "1"
        assert self.action.effects is not None  # noqa: S101
        return page(
            self.admin.admin_site, self.request, "cronzimus/confirm.html", title=title, live_url="", opts=opts,
            action_name=self.name, names=[str(key) for key in keys[:NAMED]], more=max(len(keys) - NAMED, 0),
            number=len(keys), effects=self.action.effects(keys, call), form=form, danger=self.action.danger,
            changed=changed, across=across, selected=keys[:1] if across else keys, url=address,
            back=self.back or address, plural=opts.verbose_name_plural,
        )  # fmt: skip
