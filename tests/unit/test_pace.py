"""How many runs an executor gets through, by which the loop claims ahead."""

from __future__ import annotations

import pytest

from jobs.scheduler.pace import QUIET, Pace


def within_a_second(pace: Pace, slots: int = 2, at: float = 5.0, *, busy: bool = False) -> int:
    return pace.ends_within(1.0, slots=slots, at=at, busy=busy)


def test_nothing_is_expected_before_the_first_end() -> None:
    assert within_a_second(Pace()) == 0


def test_no_ends_teach_nothing() -> None:
    pace = Pace()
    pace.add([], 5.0)
    assert within_a_second(pace) == 0


def test_each_slot_ends_as_many_runs_as_fit_one_after_the_other() -> None:
    pace = Pace()
    pace.add([0.1, 0.1], 5.0)
    assert within_a_second(pace, slots=2) == 20


def test_an_idle_time_does_not_slow_the_pace() -> None:
    pace = Pace()
    pace.add([0.1], 5.0)
    assert within_a_second(pace, at=500.0) == within_a_second(pace, at=5.0)


def test_nothing_is_expected_of_busy_slots_from_which_nothing_comes() -> None:
    pace = Pace()
    pace.add([0.1], 5.0)
    assert within_a_second(pace, at=5.0 + QUIET, busy=True) == 20
    assert within_a_second(pace, at=5.1 + QUIET, busy=True) == 0


def test_the_latest_runs_count_most() -> None:
    pace = Pace()
    pace.add([0.01] * 1000, 5.0)
    pace.add([1.0] * 100, 6.0)
    assert within_a_second(pace, slots=10) == pytest.approx(10, abs=1)


def test_a_single_run_that_takes_long_does_not_rule_out_all_others() -> None:
    pace = Pace()
    pace.add([0.01] * 1000, 5.0)
    pace.add([1.0], 6.0)
    assert within_a_second(pace, slots=10) > 100


def test_runs_that_take_no_time_are_bounded() -> None:
    pace = Pace()
    pace.add([0.0], 5.0)
    assert within_a_second(pace) == 2_000_000
