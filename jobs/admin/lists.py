"""The frame of our lists: tabs, filters, pages, and the answer to a poll."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from .filters import BarFilter
from .pages import is_poll, page_context, poll_response


@dataclass(frozen=True, slots=True)
class Link:
    """A choice: its words, its address, whether it is chosen, and a `count` beside it."""

    label: str
    url: str
    chosen: bool = False
    count: str = ""
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that opens from the bar above a list: its name, the current choice, and all choices."""

    title: str
    chosen: str
    on: bool
    choices: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Pager:
    """The rows of a page in words, and the addresses of the neighbouring pages, "" without one."""

    words: str
    previous: str = ""
    next: str = ""


def chips(changelist: ChangeList) -> list[Chip]:
    """Return the filters in the bar above a list."""
    return [
        chip(spec, changelist) for spec in changelist.filter_specs if isinstance(spec, BarFilter) and not spec.is_tab
    ]


def chip(spec: BarFilter, changelist: ChangeList) -> Chip:
    """Return one of Django's filters as a chip."""
    first, *others = (
        Link(str(choice["display"]), choice["query_string"], bool(choice["selected"]))
        for choice in spec.choices(changelist)
    )
    chosen = next((choice.label for choice in others if choice.chosen), "any")
    return Chip(capfirst(str(spec.title)), chosen, not first.chosen, (first, *others))


def hidden(changelist: ChangeList) -> Iterator[tuple[str, str]]:
    """Yield the parameters that a search keeps."""
    return ((name, value) for name, value in changelist.params.items() if name not in (SEARCH_VAR, PAGE_VAR))


def is_narrowed(changelist: ChangeList) -> bool:
    """Tell whether a filter or a search narrows the list."""
    return bool(changelist.query or changelist.has_active_filters)


def numbered_pager(changelist: ChangeList, noun: str, order: str = "", *, plural: str = "") -> Pager:
    """Return the pager of a counted list: "134 jobs", or the rows of the page, with the words for the `order`."""
    size, number, total = changelist.list_per_page, changelist.page_num, changelist.result_count
    first = (number - 1) * size + 1
    last = min(number * size, total)
    nouns = noun if total == 1 else plural or f"{noun}s"
    words = f"{total:,} {nouns}" if total <= size else f"{first:,}–{last:,} of {total:,} {nouns}"
    return Pager(
        f"{words}, {order}" if order and total > 1 else words,
        changelist.get_query_string({PAGE_VAR: number - 1}) if number > 1 else "",
        changelist.get_query_string({PAGE_VAR: number + 1}) if last < total else "",
    )


def named(names: Sequence[str]) -> str:
    """Return names for a sentence: "a", "a and b", "a, b and c"."""
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def list_page(request: HttpRequest, response: HttpResponse, **context: Any) -> HttpResponse:
    """Return the answer of Django's list view as a page of ours, with `context`; a poll gets only its middle."""
    assert isinstance(response, TemplateResponse)  # noqa: S101
    site = context.pop("site")
    response.context_data = {**(response.context_data or {}), **page_context(site, request, **context)}
    if is_poll(request):
        template: Any = response.template_name
        return poll_response(request, render_to_string(template, response.context_data, request))
    return response
