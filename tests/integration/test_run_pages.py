"""Pages of runs: with any plan of the query, all pages together are the whole list."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.models import Run
from jobs.selectors.run_pages import Cursor, page_of
from jobs.selectors.run_search import STATUSES, by_status, with_status
from tests.fakes import after, make_run

pytestmark = pytest.mark.django_db

FIELDS = ("id", "scheduled_time")
KINDS = ("succeeded", "failed", "lost", "missed", "timed_out", "skipped", "failed", "cancelled")


def make_runs() -> None:
    """Write runs of each kind, two of them at each instant."""
    for number in range(48):
        make_run(f"job-{number % 2}", scheduled_time=after(-(number // 2)), status=KINDS[number * 7 % len(KINDS)])


def listed(runs: Any) -> list[tuple[Any, ...]]:
    return list(runs.order_by("-scheduled_time", "-id").values_list(*FIELDS))


def pages(runs: Any, **options: Any) -> list[tuple[Any, ...]]:
    """Return the rows of all pages, and check that the way back has the same pages."""
    page = page_of(runs, FIELDS, None, 5, **options)
    there = [page.rows]
    while page.older:
        page = page_of(runs, FIELDS, page.older, 5, **options)
        there.append(page.rows)
    back = [page.rows]
    while page.newer:
        page = page_of(runs, FIELDS, page.newer, 5, **options)
        back.append(page.rows)
    assert back[::-1][-len(there) :] == there
    return [row for rows in there for row in rows]


@pytest.mark.parametrize("name", STATUSES)
def test_the_pages_of_several_statuses_are_in_the_order_of_the_list(name: str) -> None:
    make_runs()
    runs = with_status(Run.objects.all(), name)
    assert pages(runs, parts=by_status(runs, name)) == listed(runs)


@pytest.mark.parametrize("glance", [1, 7, 100])
def test_the_pages_are_the_same_however_many_runs_are_glanced_at(glance: int) -> None:
    make_runs()
    runs = Run.objects.filter(job_id="job-0")
    assert pages(runs, glance=glance) == listed(runs)


def test_a_page_of_parts_that_cannot_have_a_row_is_empty() -> None:
    make_runs()
    assert page_of(Run.objects.all(), FIELDS, None, 5, parts=[Run.objects.none()]).rows == []


def test_a_page_that_a_glance_fills_asks_once(statements: Any) -> None:
    make_runs()
    for glance, times in ((20, 1), (3, 2)):
        with statements() as asked:
            page_of(Run.objects.filter(job_id="job-0"), FIELDS, None, 5, glance=glance)
        assert len(asked) == times


def test_a_cursor_is_read_back() -> None:
    cursor = Cursor(True, after(0.5), 7)
    assert page_of(Run.objects.all(), FIELDS, cursor, 5).rows == []
