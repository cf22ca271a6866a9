"""Wait for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

STALL_SECONDS = 1.0
"""Seconds between two looks from which on the machine stood still, for the others as well as for the test."""
STALLS_SECONDS = 30.0
"""Seconds of standing still that `until` forgives, so that a condition that takes long has a deadline, too."""


def until(condition: Callable[[], T], seconds: float = 60, what: str = "it", *, pause: float = 0.02) -> T:
    """Call `condition` every `pause` seconds until it returns something true, and return that.

    Fails after `seconds`, with `what` in the message. Time in which the machine stood still does not count.
    """
    left, forgiven, last = seconds, STALLS_SECONDS, time.monotonic()
    while not (found := condition()):
        now = time.monotonic()
        stalled = min(max(0.0, now - last - pause - STALL_SECONDS), forgiven)
        left, forgiven, last = left - (now - last - stalled), forgiven - stalled, now
        assert left > 0, f"{what} did not come about within {seconds} s"
        time.sleep(pause)
    return found


def let_pass(seconds: float) -> float:
    """Let time pass. Return the seconds in which the machine stood still."""
    began = last = time.monotonic()
    lost = 0.0
    while last < began + seconds:
        time.sleep(min(0.02, began + seconds - last))
        now = time.monotonic()
        lost += max(0.0, now - last - STALL_SECONDS / 4)
        last = now
    return lost
