"""Wait for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60, what: str = "it", *, pause: float = 0.02) -> T:
    """Call `condition` every `pause` seconds until it returns something true, and return that.

    Fails after `seconds`, with `what` in the message.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds} s"
        time.sleep(pause)
    return found


def let_pass(seconds: float) -> None:
    """Let time pass."""
    deadline = time.monotonic() + seconds
    until(lambda: time.monotonic() >= deadline, seconds + 5)
