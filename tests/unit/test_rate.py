"""The rate at which runs end, by which the loop claims ahead."""

from __future__ import annotations

import pytest

from jobs.scheduler.rate import Rate


def test_no_run_gives_no_rate() -> None:
    assert Rate().per_second(5.0) == 0.0


def test_ends_that_count_nothing_give_no_rate() -> None:
    rate = Rate()
    rate.add(0, 1.0)
    assert rate.per_second(1.5) == 0.0


def test_the_rate_is_of_the_last_second() -> None:
    rate = Rate()
    for tenth in range(20):
        rate.add(10, tenth / 10)
    assert rate.per_second(2.0) == pytest.approx(100, rel=0.15)


def test_what_ended_longer_ago_does_not_count() -> None:
    rate = Rate()
    rate.add(1000, 1.0)
    assert rate.per_second(2.5) == 0.0


def test_a_rate_over_less_than_a_second_counts_from_the_first_end() -> None:
    rate = Rate()
    rate.add(10, 5.0)
    rate.add(10, 5.5)
    assert rate.per_second(5.5) == pytest.approx(40)


def test_a_first_end_just_now_gives_a_bounded_rate() -> None:
    rate = Rate()
    rate.add(10, 5.0)
    assert rate.per_second(5.0) <= 1000
