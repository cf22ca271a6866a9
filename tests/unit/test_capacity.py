"""The capacity of each executor: its free slots, and runs that end soon."""

from __future__ import annotations

import pytest

from jobs.core.durations import HUNG_SECONDS, MAX_AHEAD, RECENT_SECONDS, MeanDuration, RecentEnds
from jobs.scheduler.executors import Executors
from tests.fakes import NOW, after, held_run, inline_executors, make_hooks, outcome


def executors(thread: int = 4, process: int = 2) -> Executors:
    return Executors(inline_executors(thread, process)(make_hooks()))


def test_idle_executors_take_as_many_runs_as_they_have_slots() -> None:
    assert executors().capacity(at=0) == {"thread": 4, "process": 2}


def test_a_run_takes_a_slot_of_its_own_executor() -> None:
    found = executors()
    found.submit([held_run(1), held_run(2), held_run(3, executor="process")])
    assert found.capacity(at=0) == {"thread": 2, "process": 1}
    assert (found.taken, found.queued, found.held()) == (3, 3, {1, 2, 3})


def test_the_capacity_is_never_negative() -> None:
    found = executors(thread=1)
    found.submit([held_run(number) for number in range(5)])
    assert found.capacity(at=0)["thread"] == 0


def test_an_executor_of_short_runs_is_given_some_ahead() -> None:
    found = executors()
    found.measure([outcome(number, finished_at=after(0.1)) for number in range(50)], at=10.0)
    assert found.capacity(at=11.0) == {"thread": 4 + 4, "process": 2}


def test_the_runs_given_ahead_are_limited() -> None:
    found = executors()
    found.measure([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    assert found.capacity(at=10.0)["thread"] == 4 + MAX_AHEAD


def test_schedulers_share_the_runs_given_ahead() -> None:
    found = executors()
    found.measure([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    assert found.capacity(at=10.0, others=2)["thread"] == 4 + MAX_AHEAD // 3


def test_a_hung_executor_is_given_nothing_ahead() -> None:
    found = executors()
    found.measure([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    found.submit([held_run(number) for number in range(4)])
    assert found.capacity(at=10.5)["thread"] == MAX_AHEAD
    assert found.capacity(at=11.5)["thread"] == 0


def test_a_run_that_never_started_is_not_measured() -> None:
    found = executors()
    found.measure([outcome(started_at=None)], at=10.0)
    assert found.capacity(at=10.0) == {"thread": 4, "process": 2}


def test_runs_that_have_not_started_are_taken_back_from_all_executors() -> None:
    found = executors()
    found.submit([held_run(1), held_run(2, executor="process")])
    assert {run.id for run in found.take_back()} == {1, 2}
    assert found.capacity(at=0) == {"thread": 4, "process": 2}


# --- the mean duration ------------------------------------------------------------------------------------------------


def within_a_second(mean: MeanDuration, slots: int = 2, at: float = 5.0, *, busy: bool = False) -> int:
    return mean.ends_within(1.0, slots=slots, at=at, busy=busy)


def test_no_end_is_expected_before_the_first_one() -> None:
    assert within_a_second(MeanDuration()) == 0


def test_no_ends_change_nothing() -> None:
    mean = MeanDuration()
    mean.add([], 5.0)
    assert within_a_second(mean) == 0


def test_each_slot_ends_as_many_runs_as_fit_into_the_time() -> None:
    mean = MeanDuration()
    mean.add([0.1, 0.1], 5.0)
    assert within_a_second(mean, slots=2) == 20


def test_idle_time_does_not_count() -> None:
    mean = MeanDuration()
    mean.add([0.1], 5.0)
    assert within_a_second(mean, at=500.0) == within_a_second(mean, at=5.0)


def test_no_end_is_expected_of_slots_that_hang() -> None:
    mean = MeanDuration()
    mean.add([0.1], 5.0)
    assert within_a_second(mean, at=5.0 + HUNG_SECONDS, busy=True) == 20
    assert within_a_second(mean, at=5.1 + HUNG_SECONDS, busy=True) == 0


def test_the_latest_runs_count_most() -> None:
    mean = MeanDuration()
    mean.add([0.01] * 1000, 5.0)
    mean.add([1.0] * 100, 6.0)
    assert within_a_second(mean, slots=10) == pytest.approx(10, abs=1)


def test_one_long_run_does_not_outweigh_all_others() -> None:
    mean = MeanDuration()
    mean.add([0.01] * 1000, 5.0)
    mean.add([1.0], 6.0)
    assert within_a_second(mean, slots=10) > 100


def test_runs_that_take_no_time_are_limited() -> None:
    mean = MeanDuration()
    mean.add([0.0], 5.0)
    assert within_a_second(mean) == 2_000_000


def test_only_recent_ends_are_counted() -> None:
    ends = RecentEnds()
    ends.add(3, 5.0)
    ends.add(0, 5.2)
    ends.add(4, 5.5)
    assert [ends.count(at) for at in (5.5, 5.0 + RECENT_SECONDS, 5.1 + RECENT_SECONDS, 60.0)] == [7, 7, 4, 0]
