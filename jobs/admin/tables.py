"""Lists of a model's rows in the look of our pages: a table, its filters and pages, and the actions on rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.views.decorators.http import require_safe

from . import lists
from .base import ReadOnlyAdmin
from .lists import Link
from .pages import page, page_context
from .request_time import request_now
from .row_action_views import RowActionAdmin, row_url
from .row_actions import RowAction
from .times import Times

MAX_COUNTED = 10_000
"""Rows that a list pages through. Its filters and its search find older ones."""

Content = SafeString | str
"""The content of a cell."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the style sheet, its heading, the content of a cell, and a second line below.

    `look` has further classes: "num" for numbers, "extra" for columns that a phone leaves out.
    """

    name: str
    label: str
    shown: Callable[[Any, Times], Content]
    sub: Callable[[Any, Times], Content] | None = None
    look: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row."""

    column: Column
    shown: Content
    sub: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A row: the address of its page, "" for none; its cells; its links; and its actions, with addresses and names."""

    key: Any
    title: str
    url: str
    first: Cell
    cells: Sequence[Cell]
    links: Sequence[tuple[str, str]]
    buttons: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Empty:
    """The text for a list without rows."""

    icon: str
    title: str
    text: str = ""


class CappedPaginator(Paginator):
    """A paginator whose count stops at `MAX_COUNTED`."""

    @cached_property
    def count(self) -> int:
        """The number of rows to page through."""
        found = self.object_list
        return found.order_by().values("pk")[:MAX_COUNTED].count() if isinstance(found, QuerySet) else len(found)


class TableAdmin(RowActionAdmin):
    """A ModelAdmin with our own table and our own form."""

    change_list_template = "cronzimus/table.html"
    change_form_template = "cronzimus/model_form.html"
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    list_max_show_all = 0
    sortable_by: ClassVar[Any] = ()
    row_actions: ClassVar[Mapping[str, RowAction]] = {}
    columns: ClassVar[tuple[Column, ...]]
    heading: ClassVar[str] = ""
    """The title of the list; the name of the model's rows if empty."""
    noun: ClassVar[str] = ""
    """The word for a row; the name of the model if empty."""
    about: ClassVar[str] = ""
    """A sentence about the list."""
    add_label: ClassVar[str] = ""
    empty: ClassVar[Empty] = Empty(icon="search", title="Nothing here")
    placeholder: ClassVar[str] = ""
    """The placeholder of the search; "" for a list without one."""

    def tabs(self, request: HttpRequest) -> list[Link]:
        """Return the tabs above the list."""
        return []

    def row_title(self, row: Any) -> str:
        """Return the name of a row, for screen readers."""
        return str(row)

    def row_page(self, request: HttpRequest, row: Any) -> str:
        """Return the address of the page of a row, "" for none."""
        return self.page_url("change", row.pk) if self.has_change_permission(request, row) else ""

    def back_url(self, request: HttpRequest, row: Any) -> str:
        """Return the address of the page of a row, or else of the list."""
        return self.row_page(request, row) or self.page_url("changelist")

    def row_links(self, request: HttpRequest, row: Any) -> Iterable[tuple[str, str]]:
        """Return the words and the address of each link among the buttons of a row."""
        return ()

    def offered(self, row: Any, now: datetime) -> Iterable[str]:
        """Return the names of the actions for a row at `now`."""
        return self.row_actions

    def exports(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the kinds of files of the list's export, each with its address."""
        return []

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, or do an action on rows."""
        response = super().changelist_view(request, extra_context)
        changelist = getattr(response, "context_data", None) and response.context_data.get("cl")  # type: ignore[attr-defined]
        if not changelist:
            return response
        return lists.list_page(request, response, site=self.admin_site, **self.table(request, changelist))

    def table(self, request: HttpRequest, changelist: Any) -> dict[str, Any]:
        """Return the context of the page."""
        allowed, (singular, plural) = self.allowed(request), self._nouns()
        narrowed, rows = lists.is_narrowed(changelist), changelist.result_list
        return {
            "title": self._heading(),
            "about": self.about,
            "tabs": self.tabs(request),
            "add_url": self.page_url("add") if self.has_add_permission(request) else "",
            "add_label": self.add_label,
            "chips": lists.chips(changelist),
            "hidden": list(lists.hidden(changelist)),
            "query": changelist.query,
            "placeholder": self.placeholder,
            "plural": plural,
            "singular": singular,
            "narrowed": narrowed,
            "clear_url": self.page_url("changelist"),
            "columns": self.columns,
            "rows": [self._row(request, row, allowed) for row in rows],
            "bulk": [(name, self.row_actions[name].label) for name in self.row_actions if name in allowed],
            "total": changelist.result_count,
            "pager": lists.numbered_pager(changelist, singular, plural=plural),
            "exports": self.exports(request) if rows or narrowed else [],
            "empty": self.empty,
            "action_url": request.get_full_path(),
            "filters": request.GET.urlencode(),
            "times": Times.of(request),
        }

    def _row(self, request: HttpRequest, row: Any, allowed: set[str]) -> TableRow:
        times = Times.of(request)
        first, *cells = (
            Cell(column, column.shown(row, times), column.sub(row, times) if column.sub else "")
            for column in self.columns
        )
        names = [name for name in self.offered(row, times.now) if name in allowed]
        return TableRow(
            key=row.pk, title=self.row_title(row), url=self.row_page(request, row), first=first, cells=cells,
            links=list(self.row_links(request, row)),
            buttons=[(row_url(row, name), self.row_actions[name].label) for name in names],
        )  # fmt: skip

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form of a row to users who may change it. For others the list has all that they may see."""
        self.require(request, "change")
        return super().change_view(request, object_id, form_url, extra_context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the form as a page of ours."""
        obj = kwargs.get("obj")
        words = f"New {self._nouns()[0]}" if obj is None else f"Edit {self.row_title(obj)}"
        context |= {
            **page_context(self.admin_site, request), "title": words, "live_url": "", "heading": self._heading(),
            "list_url": self.page_url("changelist"), "tabs": self.tabs(request), "aside": self.aside(request, obj),
            "delete_url": self.page_url("delete", obj.pk)
            if obj is not None and self.has_delete_permission(request, obj)
            else "",
        }  # fmt: skip
        return super().render_change_form(request, context, *args, **kwargs)

    def aside(self, request: HttpRequest, obj: Any) -> str:
        """Return the template of the panel beside the form, "" for none."""
        return ""

    def _heading(self) -> str:
        return self.heading or capfirst(self._nouns()[1])

    def _nouns(self) -> tuple[str, str]:
        """Return the words for a row and for several rows."""
        if self.noun:
            return self.noun, f"{self.noun}s"
        return str(self.opts.verbose_name), str(self.opts.verbose_name_plural)


@dataclass(slots=True, kw_only=True)
class Facts:
    """The facts of one row: a badge, names and values, notes, and long texts with their headings."""

    badge: Content = ""
    note: Content = ""
    facts: list[tuple[str, Content]] = field(default_factory=list)
    texts: Sequence[tuple[str, Content]] = ()


class FactsAdmin(ReadOnlyAdmin, TableAdmin):
    """Rows that nobody adds, changes or deletes here: a list, and a page with the facts of each."""

    def row_page(self, request: HttpRequest, row: Any) -> str:
        """Return the address of the page with the facts of a row."""
        return self.page_url("change", row.pk)

    def facts(self, request: HttpRequest, row: Any, times: Times) -> Facts:
        """Return the facts of a row."""
        raise NotImplementedError

    @method_decorator(require_safe)
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the facts of a row."""
        return self.show_row(request, object_id, _facts_page)


def _facts_page(admin: FactsAdmin, request: HttpRequest, row: Any) -> HttpResponse:
    return page(
        admin.admin_site, request, "cronzimus/facts.html", title=admin.row_title(row), opts=admin.opts,
        heading=admin._heading(), list_url=admin.page_url("changelist"),
        buttons=admin.page_buttons(request, row, admin.offered(row, request_now(request))),
        links=admin.row_links(request, row), known=admin.facts(request, row, Times.of(request)),
    )  # fmt: skip
