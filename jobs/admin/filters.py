"""The filters above the lists."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest

from ..core.times import parse_instant
from .request_time import request_now

SPANS = {
    "1h": ("past hour", timedelta(hours=1)),
    "3h": ("past 3 hours", timedelta(hours=3)),
    "24h": ("past 24 hours", timedelta(hours=24)),
    "3d": ("past 3 days", timedelta(days=3)),
    "7d": ("past 7 days", timedelta(days=7)),
    "30d": ("past 30 days", timedelta(days=30)),
}
"""The spans of time up to now that filters offer."""


class BarFilter(admin.SimpleListFilter):
    """A filter that opens from the bar above a list, or is one of its tabs.

    It shows the rows whose `field`, by default the field of the filter's own name, has the chosen value.
    """

    is_tab: ClassVar[bool] = False
    field: ClassVar[str] = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows to the chosen value."""
        chosen = self.value()
        return queryset.filter(**{self.field or str(self.parameter_name): chosen}) if chosen else queryset


class FieldFilter(BarFilter):
    """Rows with one of the known `values`."""

    values: ClassVar[Iterable[str]]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the values."""
        return [(str(value), value.replace("_", " ")) for value in self.values]


def field_filter(name: str, values: Iterable[str]) -> type[FieldFilter]:
    """Return the filter for rows whose field `name` has one of `values`."""
    return type(f"{name}_filter", (FieldFilter,), {"title": name, "parameter_name": name, "values": tuple(values)})


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


class SpanFilter(BarFilter):
    """Rows whose `field` lies within one of the `spans` up to now."""

    parameter_name = "since"
    spans: ClassVar[Iterable[str]] = SPANS

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the spans."""
        return [(name, SPANS[name][0]) for name in self.spans]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows to the chosen span."""
        chosen = SPANS.get(self.value() or "")
        return queryset.filter(**{f"{self.field}__gte": request_now(request) - chosen[1]}) if chosen else queryset


class NamedFilter(BarFilter):
    """A filter that is shown only if the address names a value: there may be thousands of values."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the value that the address names."""
        return [(named, named)] if (named := request.GET.get(str(self.parameter_name))) else []


class InstantFilter(NamedFilter):
    """Rows on one side of an instant. `field` has the lookup; `end` makes a date alone mean that whole day."""

    end: ClassVar[bool] = False

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the rows by the named instant; a local time is in the site's zone."""
        if not (text := self.value()):
            return queryset
        try:
            at = parse_instant(text, ZoneInfo(settings.TIME_ZONE), end=self.end)
        except ValueError as error:
            raise IncorrectLookupParameters from error
        return queryset.filter(**{self.field: at})
