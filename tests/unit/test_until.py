"""Waiting in tests: time in which the machine stands still does not count, and a wait ends all the same."""

from __future__ import annotations

import pytest

from tests import waiting


class Machine:
    """A machine whose clock a test moves; sleep takes no time of the test's."""

    def __init__(self) -> None:
        """Start it."""
        self.now = 0.0
        self.stalls = [0.0]

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Sleep, and then stand still for the next of the `stalls`."""
        self.now += seconds + (self.stalls.pop(0) if self.stalls else 0.0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine of the test."""
    made = Machine()
    monkeypatch.setattr(waiting, "time", made)
    return made


def test_a_wait_ends_after_its_seconds(machine: Machine) -> None:
    with pytest.raises(AssertionError, match="the end did not come about within 3 s"):
        waiting.until(lambda: False, 3, "the end")
    assert 3 <= machine.now < 3.1


def test_a_stall_takes_a_second_of_a_wait(machine: Machine) -> None:
    machine.stalls = [5.0]
    assert waiting.until(lambda: machine.now > 6.5, 3)
    with pytest.raises(AssertionError):
        waiting.until(lambda: False, 3)
    assert machine.now < 10


def test_a_condition_that_takes_long_has_a_deadline_too(machine: Machine) -> None:
    with pytest.raises(AssertionError):
        waiting.until(lambda: machine.sleep(20), 10)
    assert machine.now < 10 + waiting.STALLS_SECONDS + 25


def test_time_passes_and_stalls_are_told(machine: Machine) -> None:
    machine.stalls = [0.0, 4.0]
    assert waiting.let_pass(10) == pytest.approx(4.0, abs=0.3)
    assert machine.now == pytest.approx(10)
