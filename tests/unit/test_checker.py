"""The judge of the acceptance tests finds what is wrong: one that finds nothing would prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.checker import Mark, Row, problems
from tests.fakes import after


def row(second: int, status: str = "succeeded", job_id: str = "a", **fields: Any) -> Row:
    return Row(job_id=job_id, scheduled_time=after(second), status=status, **fields)


def mark(second: int, job_id: str = "a", at: float = 0) -> Mark:
    return Mark(job_id=job_id, scheduled_time=after(second), at=after(at))


def test_a_good_history_has_no_problems() -> None:
    rows = [row(0), row(1), row(2), row(0, job_id="b")]
    assert problems(rows, [mark(0), mark(1), mark(2), mark(0, "b")]) == []


def test_an_empty_history_has_no_problems() -> None:
    assert problems([], []) == []


def test_a_gap_is_found() -> None:
    assert problems([row(0), row(2)], [mark(0), mark(2)]) == [f"a {after(1)}: no row accounts for it"]


def test_a_row_that_stands_for_several_fire_times_leaves_no_gap() -> None:
    assert problems([row(0), row(4, fire_times=4)], [mark(0), mark(4)]) == []


@pytest.mark.parametrize("status", ["missed", "skipped", "lost", "cancelled"])
def test_a_fire_time_that_did_not_run_and_says_so_leaves_no_gap(status: str) -> None:
    assert problems([row(0), row(1, status), row(2)], [mark(0), mark(2)]) == []


def test_a_fire_time_in_two_rows_is_found() -> None:
    assert problems([row(0), row(1), row(2, fire_times=2)], [mark(0), mark(1), mark(2)]) == [
        f"a {after(1)}: accounted for 2 times"
    ]


def test_a_double_call_is_found() -> None:
    assert problems([row(0)], [mark(0), mark(0)]) == [f"a {after(0)}: called 2 times"]


def test_a_call_without_a_row_is_found() -> None:
    assert problems([], [mark(0)]) == [f"a {after(0)}: called, and no row says so"]


@pytest.mark.parametrize("status", ["queued", "missed", "skipped", "cancelled"])
def test_a_call_of_what_did_not_run_is_found(status: str) -> None:
    assert problems([row(0, status)], [mark(0)]) == [f"a {after(0)}: called, although it is {status}"]


def test_a_success_without_a_call_is_found() -> None:
    assert problems([row(0)], []) == [f"a {after(0)}: succeeded, and was never called"]


@pytest.mark.parametrize("marks", [[], [mark(0)]])
def test_a_lost_run_may_have_been_called_or_not(marks: list[Mark]) -> None:
    assert problems([row(0, "lost", finished_at=after(20))], marks) == []


def test_a_call_after_it_was_given_up_is_found() -> None:
    assert problems([row(0, "lost", finished_at=after(20))], [mark(0, at=21)]) == [
        f"a {after(0)}: called after it was given up for lost"
    ]
