"""The addresses at which verbs are done, the bulk actions that do the same, and the buttons that lead there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from .base import BaseAdmin, StampedChangeList
from .row_actions import Verb, perform

View = Callable[..., HttpResponse]
"""What answers a request."""

BUTTON = (
    '<button class="row-button" type="submit" form="row-verb" formaction="{}">{}'
    '<span class="visually-hidden">: {}</span></button>'
)
"""The button of a verb in a row of a list."""


class VerbChangeList(StampedChangeList):
    """A list that keeps with each row what its reader may do, beside the instant of the request."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page's rows, and hand them the permissions."""
        super().get_results(request)
        allowed = self.model_admin.allowed(request)  # type: ignore[attr-defined]
        for row in self.result_list:
            vars(row)["allowed"] = allowed


class VerbViews(BaseAdmin):
    """Adds the addresses of `verbs` beside Django's own, each with its permission checked in the handler."""

    verbs: ClassVar[Mapping[str, Verb]]
    most_at_once: ClassVar[int] = 100_000
    """So many rows a bulk action takes."""

    def row_of(self, key: Any) -> Model | None:
        """Return the row on whose record a verb is put, or None where it is gone."""
        raise NotImplementedError

    def allowed(self, request: HttpRequest) -> set[str]:
        """Return which of the permissions that verbs need the person has."""
        return {verb.permission for verb in self.verbs.values() if self.may(request, verb.permission)}

    def may(self, request: HttpRequest, permission: str) -> bool:
        """Say whether the person has a permission."""
        return bool(getattr(self, f"has_{permission}_permission")(request))

    def require(self, request: HttpRequest, permission: str) -> None:
        """Refuse those who have not."""
        if not self.may(request, permission):
            raise PermissionDenied

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[VerbChangeList]:
        """Return our own kind of list."""
        return VerbChangeList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Leave the buttons out for those who may press none."""
        may = self.allowed(request)
        return [name for name in self.list_display if may or name != "buttons"]

    def get_urls(self) -> list[Any]:
        """Return our addresses before Django's, whose last one matches everything."""
        return [*self.own_urls(), *super().get_urls()]

    def own_urls(self) -> list[URLPattern]:
        """Return an address for each verb."""
        views = {name: partial(self.verb_view, name=name) for name in self.verbs}
        return [self.post(f"<path:object_id>/{name}/", view, name) for name, view in views.items()]

    def post(self, route: str, view: View, name: str) -> URLPattern:
        """Return an address that takes a POST."""
        named = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(require_POST(view)), name=named)

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do one verb with one row, and go back to where the button was."""
        key, verb = unquote(object_id), self.verbs[name]
        self.require(request, verb.permission)
        perform(self, request, verb, [key], self.row_of)
        pages = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        if "from_page" in request.POST and self.get_object(request, key) is not None:
            return HttpResponseRedirect(reverse(f"{pages}_change", args=[object_id]))
        filters = QueryDict(request.POST.get("filters", "")).urlencode()
        return HttpResponseRedirect(f"{reverse(f'{pages}_changelist')}{'?' if filters else ''}{filters}")

    def page_buttons(self, request: HttpRequest, row: Model, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return the address and the label of each verb of `names` that the person may do with a row."""
        verbs = [(name, self.verbs[name]) for name in names]
        return [(verb_url(row, name), verb.label) for name, verb in verbs if self.may(request, verb.permission)]

    def row_buttons(self, row: Model, names: Iterable[str], title: str) -> SafeString:
        """Return the buttons of a row of the list.

        They belong to a form beside the list: a form within the list's own can not be.
        """
        verbs = [(name, self.verbs[name]) for name in names if self.verbs[name].permission in vars(row)["allowed"]]
        return format_html_join("", BUTTON, ((verb_url(row, name), verb.label, title) for name, verb in verbs))


def verb_url(row: Model, name: str) -> str:
    """Return the address that does a verb with a row."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[quote(row.pk)])


def bulk_actions(verbs: Mapping[str, Verb]) -> Sequence[Callable[..., None]]:
    """Return the bulk actions of `verbs`, which Django offers to those with their permissions only."""
    return [_bulk_action(name, verb) for name, verb in verbs.items()]


def _bulk_action(name: str, verb: Verb) -> Callable[..., None]:
    @admin.action(permissions=[verb.permission], description=verb.bulk or verb.label)
    def act(modeladmin: VerbViews, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        most = modeladmin.most_at_once
        keys = list(queryset.values_list("pk", flat=True)[: most + 1])
        if len(keys) > most:
            said = format_html("Nothing was done: choose at most {} at once.", f"{most:,}")
            modeladmin.message_user(request, said, messages.ERROR)
        else:
            perform(modeladmin, request, verb, keys, modeladmin.row_of)

    act.__name__ = name
    return act
