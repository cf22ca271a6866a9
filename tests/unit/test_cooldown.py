"""Work that could not be taken is looked for again after a pause."""

from __future__ import annotations

from datetime import datetime
from math import inf

import pytest

from jobs.core.capacity import Capacity
from jobs.scheduler.cooldown import COOLDOWN_SECONDS, MAX_REST_SECONDS, Cooldown
from tests.fakes import NOW, after

CAPACITY = Capacity({"thread": 3, "process": 1})
BEGAN, ENDED = 100.0, 100.001
"""When the look of the fixture `cooldown` began and ended, in monotonic seconds."""


@pytest.fixture
def cooldown() -> Cooldown:
    """The pause for work that has been there since `NOW`, and that the threads could not take."""
    made = Cooldown()
    assert ready(made, BEGAN) == CAPACITY
    made.missed(["thread"], BEGAN, ENDED)
    return made


def ready(cooldown: Cooldown, at: float, since: datetime | None = NOW) -> dict[str, int]:
    return cooldown.ready(CAPACITY, since, NOW, at)


def test_missed_work_is_not_looked_for_again_at_once(cooldown: Cooldown) -> None:
    assert ready(cooldown, ENDED + COOLDOWN_SECONDS - 0.001) == {"process": 1}
    assert ready(cooldown, ENDED + COOLDOWN_SECONDS) == CAPACITY


def test_a_slow_look_takes_at_most_a_tenth_of_the_time(cooldown: Cooldown) -> None:
    cooldown.missed(["thread"], 101, 102)
    assert "thread" not in ready(cooldown, 110.9)
    assert "thread" in ready(cooldown, 111)


def test_a_look_in_which_the_process_stood_still_is_repeated_soon(cooldown: Cooldown) -> None:
    cooldown.missed(["thread"], 101, 201)
    assert "thread" not in ready(cooldown, 201 + MAX_REST_SECONDS - 0.1)
    assert "thread" in ready(cooldown, 201 + MAX_REST_SECONDS)


def test_missed_work_is_looked_for_sooner_when_a_run_has_ended(cooldown: Cooldown) -> None:
    cooldown.shorten()
    assert "thread" not in ready(cooldown, ENDED + 0.008)
    assert "thread" in ready(cooldown, ENDED + 0.01)


def test_different_work_is_looked_for_at_once(cooldown: Cooldown) -> None:
    assert ready(cooldown, ENDED, since=after(-1)) == CAPACITY


@pytest.mark.parametrize("since", [None, after(0.001)])
def test_work_that_is_not_due_yet_is_not_looked_for(cooldown: Cooldown, since: datetime | None) -> None:
    assert ready(cooldown, ENDED + 9, since) == {}


def test_an_executor_without_capacity_is_never_ready() -> None:
    assert Cooldown().ready(Capacity({"thread": 0, "process": 2}), NOW, NOW, BEGAN) == {"process": 2}


def test_the_wait_is_that_of_the_executor_that_is_ready_first(cooldown: Cooldown) -> None:
    assert cooldown.wait(["thread"], NOW, ENDED) == pytest.approx(COOLDOWN_SECONDS)
    assert cooldown.wait(["thread", "process"], NOW, ENDED) <= 0


def test_the_wait_for_future_work_is_the_time_until_then(cooldown: Cooldown) -> None:
    ready(cooldown, ENDED, since=after(0.02))
    assert cooldown.wait(["thread"], NOW, ENDED) == pytest.approx(0.02)


@pytest.mark.parametrize(("since", "names"), [(None, ["thread"]), (NOW, [])])
def test_without_work_or_capacity_there_is_nothing_to_wait_for(
    cooldown: Cooldown, since: datetime | None, names: list[str]
) -> None:
    ready(cooldown, ENDED, since)
    assert cooldown.wait(names, NOW, ENDED) == inf
