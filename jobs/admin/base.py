"""The base classes of our pages: each page shows one instant, and a bad address cannot break it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.gzip import gzip_page

from ..core.audit import Door, acting, origin_of
from .pages import page_context

NUL = "\0"
"""The character that no text in PostgreSQL may hold."""


class BaseChangeList(ChangeList):
    """A list whose rows know the site, since a ModelAdmin itself keeps no state.

    `own_params` are parameters of the address that are not filters.
    """

    own_params: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Name the list after its rows."""
        super().__init__(request, *args, **kwargs)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_filters_params(self, params: Any = None) -> Any:
        """Return the parameters of our filters. Other lookups could reveal secrets: `?secret__startswith=a`."""
        given: dict[str, Any] = super().get_filters_params(params)
        given = {name: value for name, value in given.items() if name not in self.own_params}
        if not given.keys() <= {getattr(narrow, "parameter_name", None) for narrow in self.list_filter}:
            raise IncorrectLookupParameters
        return given

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the rows of the page, and prepare them for the columns."""
        super().get_results(request)
        for row in self.result_list:
            self.prepare(row, request)

    def prepare(self, row: Model, request: HttpRequest) -> None:
        """Keep data on `row` that the columns need."""
        attach_site(row, self.model_admin.admin_site)


class BaseAdmin(admin.ModelAdmin):
    """Django's ModelAdmin, whose rows know their site."""

    show_full_result_count = False
    delete_confirmation_template = "cronzimus/delete.html"
    object_history_template = "cronzimus/history.html"

    @property
    def urls(self) -> list[Any]:
        """Return the addresses. Their pages are compressed, and the request is the origin of what they record."""
        for pattern in (patterns := self.get_urls()):
            pattern.callback = gzip_page(_recorded(pattern.callback))
        return patterns

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return our class of list."""
        return BaseChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return one row, prepared for the columns, or None."""
        if NUL in object_id:  # PostgreSQL refuses the query
            return None
        row: Model | None = super().get_object(request, object_id, from_field)
        if row is not None:
            attach_site(row, self.admin_site)
        return row

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list. Refuse NUL, a key that no row can have, and an action that the user may not take.

        Django ignores such an action, and shows the list again.
        """
        if any(NUL in value for data in (request.GET, request.POST) for _, values in data.lists() for value in values):
            raise BadRequest
        action = request.POST.get("action")
        if action and action not in self.get_actions(request):
            raise PermissionDenied
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.run_validators(self.opts.pk.to_python(key))
        except ValidationError as error:
            raise BadRequest from error
        return super().changelist_view(request, extra_context)

    def delete_effects(self, request: HttpRequest, row: Any) -> list[str]:
        """Return the effects of deleting a row, in sentences."""
        return ["This cannot be undone."]

    def back_url(self, request: HttpRequest, row: Any) -> str:
        """Return the address to which those go who do not delete a row after all."""
        return self.page_url("change", row.pk)

    def render_delete_form(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """Ask on a page of ours before a row is deleted."""
        row = context["object"]
        context |= {
            **page_context(self.admin_site, request), "live_url": "", "title": f"Delete {row}",
            "effects": self.delete_effects(request, row), "back": self.back_url(request, row),
        }  # fmt: skip
        return super().render_delete_form(request, context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the log of a row on a page of ours."""
        shared = {**page_context(self.admin_site, request), "live_url": "", "list_url": self.page_url("changelist")}
        return super().history_view(request, object_id, {**shared, **(extra_context or {})})

    def page_url(self, page: str, *args: Any) -> str:
        """Return the address of one of the model's pages on this site: `page_url("change", row.pk)`."""
        return model_url(self.admin_site, self.model, page, *args)


class ReadOnlyAdmin(BaseAdmin):
    """Pages for reading: nobody adds, changes or deletes a row here."""

    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds a row here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody changes a row here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes a row here."""
        return False


def _recorded(view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    def recorded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acting(origin_of(request.META, Door.ADMIN, actor=str(request.user.get_username()))):
            return view(request, *args, **kwargs)

    return recorded


def attach_site(row: Model, site: admin.AdminSite) -> None:
    """Keep on `row` the site whose page shows it, because there may be several sites."""
    vars(row)["admin_site"] = site


def row_site(row: Model) -> admin.AdminSite:
    """Return the site that `attach_site` kept on `row`."""
    site: admin.AdminSite = vars(row)["admin_site"]
    return site


def model_url(site: admin.AdminSite, model: type[Model], page: str, *args: Any) -> str:
    """Return the address of a page of `model` on `site`. `args` are keys of rows."""
    name = f"{site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=[quote(arg) for arg in args])
