"""The filters above the lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest


class BarFilter(admin.SimpleListFilter):
    """A filter that opens from the bar above a list, or is one of its tabs."""

    is_tab: ClassVar[bool] = False


class FieldFilter(BarFilter):
    """Rows whose field of the filter's own name, or `field`, has one of the known `values`."""

    values: ClassVar[Iterable[str]]
    field: ClassVar[str] = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values."""
        return [(str(value), value.replace("_", " ")) for value in self.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows to the chosen value."""
        chosen = self.value()
        return queryset.filter(**{self.field or str(self.parameter_name): chosen}) if chosen else queryset


class OptionFilter(BarFilter):
    """Rows with one of the values in use. With fewer than two values there is nothing to choose."""

    def options(self, request: HttpRequest) -> Iterable[str]:
        """Return the values in use."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values, including the one that the address names."""
        found = list(self.options(request))
        named = request.GET.get(str(self.parameter_name))
        if len(found) < 2 and not named:
            return []
        return [(value, value) for value in ([*found, named] if named and named not in found else found)]
