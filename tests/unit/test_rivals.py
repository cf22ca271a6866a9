"""Lanes that share workers are counted down together."""

from __future__ import annotations

from jobs.core.capacity import Capacity

RIVALS = {"a": ("a", "b"), "b": ("a", "b", "c"), "c": ("b", "c")}


def test_a_run_takes_a_place_of_its_lane_and_of_those_that_share_its_workers() -> None:
    left = Capacity({"a": 2, "b": 4, "c": 2, "thread": 1}, RIVALS)
    left.take("a")
    left.take("thread")
    assert left == {"a": 1, "b": 3, "c": 2, "thread": 0}


def test_no_lane_has_less_than_no_place() -> None:
    left = Capacity({"a": 2, "b": 1}, RIVALS)
    for _ in range(3):
        left.take("b")
    assert left == {"a": 0, "b": 0}


def test_a_run_of_a_lane_that_was_left_out_counts_for_its_rivals() -> None:
    left = Capacity({"a": 2, "b": 4, "c": 2}, RIVALS).only(["b"])
    left.take("a")
    assert left == {"b": 3}


def test_a_copy_is_counted_down_by_itself_and_with_the_same_rivals() -> None:
    first = Capacity({"a": 2, "b": 4}, RIVALS)
    second = Capacity(first)
    second.take("a")
    assert (first, second) == ({"a": 2, "b": 4}, {"a": 1, "b": 3})
