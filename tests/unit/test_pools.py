"""How many runs each executor may be given: its free slots, and what it ends soon."""

from __future__ import annotations

from jobs.scheduler.pools import MAX_AHEAD, Pools
from tests.fakes import NOW, InlineExecutor, after, held_run, outcome


def executor(slots: int) -> InlineExecutor:
    return InlineExecutor(slots, lambda run: None, lambda: None, lambda run_id, reason: None)


def pools(thread: int = 4, process: int = 2) -> Pools:
    return Pools({"thread": executor(thread), "process": executor(process)})


def test_idle_executors_have_room_for_their_slots() -> None:
    assert pools().rooms(at=0) == {"thread": 4, "process": 2}


def test_what_was_taken_takes_room_in_its_own_executor() -> None:
    found = pools()
    found.submit([held_run(1), held_run(2), held_run(3, executor="process")])
    assert found.rooms(at=0) == {"thread": 2, "process": 1}
    assert (found.taken, found.queued, found.held()) == (3, 3, {1, 2, 3})


def test_there_is_never_less_room_than_none() -> None:
    found = pools(thread=1)
    found.submit([held_run(number) for number in range(5)])
    assert found.rooms(at=0)["thread"] == 0


def test_an_executor_whose_runs_end_fast_is_given_more_ahead() -> None:
    found = pools()
    found.ended([outcome(number, finished_at=after(0.1)) for number in range(50)], at=10.0)
    assert found.rooms(at=11.0) == {"thread": 4 + 4, "process": 2}


def test_no_more_is_given_ahead_than_the_most() -> None:
    found = pools()
    found.ended([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    assert found.rooms(at=10.0)["thread"] == 4 + MAX_AHEAD


def test_schedulers_share_what_is_given_ahead() -> None:
    found = pools()
    found.ended([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    assert found.rooms(at=10.0, others=2)["thread"] == 4 + MAX_AHEAD // 3


def test_nothing_is_given_ahead_to_an_executor_that_is_held_up() -> None:
    found = pools()
    found.ended([outcome(number, finished_at=NOW) for number in range(50)], at=10.0)
    found.submit([held_run(number) for number in range(4)])
    assert found.rooms(at=10.5)["thread"] == MAX_AHEAD
    assert found.rooms(at=11.5)["thread"] == 0


def test_what_never_started_says_nothing_of_the_pace() -> None:
    found = pools()
    found.ended([outcome(started_at=None)], at=10.0)
    assert found.rooms(at=10.0) == {"thread": 4, "process": 2}


def test_what_was_not_started_is_taken_back_from_all() -> None:
    found = pools()
    found.submit([held_run(1), held_run(2, executor="process")])
    assert {run.id for run in found.take_back()} == {1, 2}
    assert found.rooms(at=0) == {"thread": 4, "process": 2}
