"""What the benchmarks make of what they measured."""

from __future__ import annotations

import pytest

from benchmarks import harness, spread, steady


def test_a_start_is_late_by_what_has_gone_of_its_second() -> None:
    lags, happened, twice = steady._counted([("a", 10.25), ("b", 11.5)], first=10, seconds=2)
    assert (lags, happened, twice) == ([0.25, 0.5], 2, 0)


def test_starts_outside_the_time_that_counts_are_left_out() -> None:
    assert steady._counted([("a", 9.9), ("a", 12.0)], first=10, seconds=2) == ([], 0, 0)


def test_a_second_start_in_a_second_is_no_further_fire_time() -> None:
    _, happened, twice = steady._counted([("a", 10.0), ("a", 10.5), ("b", 10.5)], first=10, seconds=2)
    assert (happened, twice) == (2, 1)


def test_the_furthest_share_is_that_of_the_scheduler_that_is_most_wrong() -> None:
    assert spread.Sample("sqlite", "noop", 2, [60, 40], 1.0).furthest == pytest.approx(0.2)


def test_a_scheduler_that_got_nothing_is_as_far_from_even_as_can_be() -> None:
    assert spread.Sample("sqlite", "noop", 2, [100], 1.0).furthest == pytest.approx(1.0)


def test_a_reason_why_something_was_skipped_is_one_row_and_its_log_follows() -> None:
    skipped = [["peer", "redis", "skipped: it has ended:\nTraceback"]] * 2
    table, _, log = harness.report(
        ["who", "where", "figure", "other"], [["me", "memory", "1", "2"]], skipped
    ).partition("skipped: it has ended:\n")
    assert table.count("| peer | redis | skipped: it has ended: |") == 1
    assert log.startswith("Traceback")
