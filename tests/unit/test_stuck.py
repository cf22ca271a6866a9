"""Work that could not be taken is looked for again when it may be, and not all the time."""

from __future__ import annotations

from datetime import datetime
from math import inf

import pytest

from jobs.scheduler.cooldown import STUCK, Stuck
from tests.fakes import NOW, after

ROOMS = {"thread": 3, "process": 1}
BEGAN, ENDED = 100.0, 100.001
"""When the look for `stuck` began and ended, in monotonic seconds."""


@pytest.fixture
def stuck() -> Stuck:
    """Work that is there since `NOW`, of which the threads could take nothing."""
    made = Stuck()
    assert worth(made, BEGAN) == ROOMS
    made.found_nothing(["thread"], BEGAN, ENDED)
    return made


def worth(stuck: Stuck, at: float, since: datetime | None = NOW) -> dict[str, int]:
    return stuck.worth(ROOMS, since, NOW, at)


def test_it_is_not_looked_for_again_at_once(stuck: Stuck) -> None:
    assert worth(stuck, ENDED + STUCK - 0.001) == {"process": 1}
    assert worth(stuck, ENDED + STUCK) == ROOMS


def test_what_takes_long_to_look_for_has_a_tenth_of_the_time(stuck: Stuck) -> None:
    stuck.found_nothing(["thread"], 101, 102)
    assert "thread" not in worth(stuck, 110.9)
    assert "thread" in worth(stuck, 111)


def test_it_is_looked_for_sooner_when_a_run_has_ended(stuck: Stuck) -> None:
    stuck.hurry()
    assert "thread" not in worth(stuck, ENDED + 0.008)
    assert "thread" in worth(stuck, ENDED + 0.01)


def test_other_work_is_looked_for_at_once(stuck: Stuck) -> None:
    assert worth(stuck, ENDED, since=after(-1)) == ROOMS


@pytest.mark.parametrize("since", [None, after(0.001)])
def test_what_is_not_there_yet_is_not_looked_for(stuck: Stuck, since: datetime | None) -> None:
    assert worth(stuck, ENDED + 9, since) == {}


def test_an_executor_without_room_is_not_looked_for() -> None:
    assert Stuck().worth({"thread": 0, "process": 2}, NOW, NOW, BEGAN) == {"process": 2}


def test_the_wait_is_that_of_the_first_executor_with_room(stuck: Stuck) -> None:
    assert stuck.wait(["thread"], NOW, ENDED) == pytest.approx(STUCK)
    assert stuck.wait(["thread", "process"], NOW, ENDED) <= 0


def test_the_wait_for_work_to_come_is_the_time_until_then(stuck: Stuck) -> None:
    worth(stuck, ENDED, since=after(0.02))
    assert stuck.wait(["thread"], NOW, ENDED) == pytest.approx(0.02)


@pytest.mark.parametrize(("since", "names"), [(None, ["thread"]), (NOW, [])])
def test_without_work_or_room_there_is_nothing_to_wait_for(
    stuck: Stuck, since: datetime | None, names: list[str]
) -> None:
    worth(stuck, ENDED, since)
    assert stuck.wait(names, NOW, ENDED) == inf
