"""What our pages have in common: each is of the instant of its request, and bad addresses break nothing."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.text import capfirst

from .request_time import stamp

NUL = "\0"
"""What no text in PostgreSQL may hold."""


class StampedChangeList(ChangeList):
    """A list that stamps each row with the instant of the request: a ModelAdmin keeps no state itself."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Name the list for what it shows."""
        super().__init__(request, *args, **kwargs)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page's rows, and stamp them."""
        super().get_results(request)
        for row in self.result_list:
            stamp(row, request)


class BaseAdmin(admin.ModelAdmin):
    """Django's ModelAdmin, whose rows know the instant of the request (see `jobs.admin.request_time`)."""

    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return our own kind of list."""
        return StampedChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return one row, stamped; None where there is none."""
        if NUL in object_id:  # PostgreSQL would not even look for it
            return None
        row: Model | None = super().get_object(request, object_id, from_field)
        if row is not None:
            stamp(row, request)
        return row

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list; refuse an address that PostgreSQL could not look for, or an action that is not allowed.

        Of the latter Django itself would say nothing, and show the list again.
        """
        if any(NUL in value for data in (request.GET, request.POST) for _, values in data.lists() for value in values):
            raise BadRequest
        action = request.POST.get("action")
        if action and action not in self.get_actions(request):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)


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
