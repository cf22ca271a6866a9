"""The addresses of row actions, the bulk actions that do the same, and their buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.text import capfirst
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from .base import BaseAdmin, model_url, row_site
from .bulk import Question
from .refusals import Refused, codename
from .row_actions import RowAction, perform

View = Callable[..., HttpResponseBase]
Show = Callable[[Any, HttpRequest, Any], HttpResponse]
"""Takes a ModelAdmin, the request and a row, and returns the page."""


class RowActionAdmin(BaseAdmin):
    """A ModelAdmin with an address for each of its `row_actions`. Each handler checks the permissions."""

    row_actions: ClassVar[Mapping[str, RowAction]]
    most_at_once: ClassVar[int] = 100_000
    """Rows that a bulk action takes."""

    def logged_row(self, key: Any) -> Model | None:
        """Return the row, whose log gets the entries of actions, or None if it is gone."""
        raise NotImplementedError

    def allowed(self, request: HttpRequest) -> set[str]:
        """Return the names of the actions that the user may take."""
        return {name for name, action in self.row_actions.items() if self.may(request, *action.permissions)}

    def may(self, request: HttpRequest, *permissions: str) -> bool:
        """Tell whether the user has all of `permissions`: "change" stands for `has_change_permission`."""
        return all(getattr(self, f"has_{permission}_permission")(request) for permission in permissions)

    def require(self, request: HttpRequest, *permissions: str) -> None:
        """Raise `PermissionDenied` unless the user has all of `permissions`."""
        for permission in permissions:
            if not self.may(request, permission):
                raise Refused(codename(permission, str(self.opts.model_name)))

    def show_row(self, request: HttpRequest, object_id: str, show: Show, gone: str = "") -> HttpResponse:
        """Answer with `show(self, request, row)` if the user may view rows.

        If there is no such row, go to the list with a message, which ends with `gone`.
        """
        self.require(request, "view")
        row = self.get_object(request, unquote(object_id))
        if row is None:
            said = f"{capfirst(str(self.opts.verbose_name))} {unquote(object_id)[:64]} doesn’t exist.{gone}"
            self.message_user(request, said, messages.WARNING)
            return HttpResponseRedirect(self.page_url("changelist"))
        return show(self, request, row)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the bulk actions that the user may take."""
        allowed, actions = self.allowed(request), super().get_actions(request)
        return {name: act for name, act in actions.items() if name not in self.row_actions or name in allowed}

    def get_urls(self) -> list[Any]:
        """Return our addresses before Django's, whose last one matches everything."""
        return [*self.own_urls(), *super().get_urls()]

    def own_urls(self) -> list[URLPattern]:
        """Return an address for each action."""
        views = {name: partial(self.row_action_view, name=name) for name in self.row_actions}
        return [self.post(f"<path:object_id>/{name}/", view, name) for name, view in views.items()]

    def get(self, route: str, view: View, name: str) -> URLPattern:
        """Return an address that takes a GET."""
        named = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(require_safe(view)), name=named)

    def both(self, route: str, view: View, name: str) -> URLPattern:
        """Return an address that takes a GET and a POST."""
        named = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        shown = require_http_methods(["GET", "HEAD", "POST"])(view)
        return path(route, self.admin_site.admin_view(shown), name=named)

    def post(self, route: str, view: View, name: str) -> URLPattern:
        """Return an address that takes a POST."""
        named = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(require_POST(view)), name=named)

    def row_action_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Do one action with one row, and go back to the page of the button."""
        key, action = unquote(object_id), self.row_actions[name]
        self.require(request, *action.permissions)
        perform(self, request, action, [key], request.POST)
        if url := next_url(request):
            return HttpResponseRedirect(url)
        if "from_page" in request.POST and self.get_object(request, key) is not None:
            return HttpResponseRedirect(self.page_url("change", key))
        filters = QueryDict(request.POST.get("filters", "")).urlencode()
        return HttpResponseRedirect(f"{self.page_url('changelist')}{'?' if filters else ''}{filters}")

    def page_buttons(self, request: HttpRequest, row: Model, names: Iterable[str]) -> list[tuple[str, str]]:
        """Return the address and the label of each action of `names` that the user may take with `row`."""
        actions = [(name, self.row_actions[name]) for name in names]
        return [(row_url(row, name), a.label) for name, a in actions if self.may(request, *a.permissions)]


def next_url(request: HttpRequest) -> str:
    """Return the address on this host that the form names as `next`, or ""."""
    url = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return url if safe else ""


def row_url(row: Model, name: str) -> str:
    """Return the address that takes an action with a row."""
    return model_url(row_site(row), type(row), name, row.pk)


def bulk_actions(actions: Mapping[str, RowAction]) -> Sequence[Callable[..., HttpResponse | None]]:
    """Return the bulk actions of `actions`. `RowActionAdmin.get_actions` offers them to users who may take them."""
    return [_bulk_action(name, action) for name, action in actions.items()]


def _bulk_action(name: str, action: RowAction) -> Callable[..., HttpResponse | None]:
    @admin.action(description=action.label)
    def act(modeladmin: RowActionAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        most = modeladmin.most_at_once
        keys = list(queryset.values_list("pk", flat=True)[: most + 1])
        if len(keys) > most:
            said = format_html("Nothing was done: choose at most {} at once.", f"{most:,}")
            modeladmin.message_user(request, said, messages.ERROR)
            return None
        answer = Question(admin=modeladmin, request=request, name=name, action=action, keys=keys).answer()
        if isinstance(answer, HttpResponse):
            return answer
        perform(modeladmin, request, action, keys, answer)
        return None

    act.__name__ = name
    # Django asks for one of these; `RowActionAdmin.get_actions` asks for all.
    act.allowed_permissions = action.permissions  # type: ignore[attr-defined]
    return act
