"""Paging through tables that are too large to count."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

COUNTED = 10_000
"""So far a list is counted, and no further."""


class CappedPaginator(Paginator):
    """Counts to `COUNTED` and no further: `count` is at most that, and `more` tells that there is more.

    Older rows are reached by filters; a page beyond row `COUNTED` would have to walk over all that come before it.
    """

    @cached_property
    def _found(self) -> int:
        rows = self.object_list
        return rows.order_by().values("pk")[: COUNTED + 1].count() if isinstance(rows, QuerySet) else len(rows)

    @cached_property
    def count(self) -> int:
        """How many rows there are to page through."""
        return min(self._found, COUNTED)

    @property
    def more(self) -> bool:
        """Whether there are more rows than `count`."""
        return self._found > COUNTED
