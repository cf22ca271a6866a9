"""Start threads, with a helpful error if the system refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class TooFewThreads(Exception):
    """The system has no room for the threads of a scheduler."""


class Startable(Protocol):
    """A thread, or an object with one."""

    def start(self) -> None:
        """Start it. Raises `RuntimeError` if the system refuses."""


def start_all(threads: Sequence[Startable]) -> None:
    """Start the threads. Raises `TooFewThreads` if the system refuses one."""
    for number, thread in enumerate(threads):
        try:
            thread.start()
        except RuntimeError as error:
            raise TooFewThreads(
                f"only {number} of {len(threads)} threads could be started ({error}): "
                "raise the limits of memory and of processes (ulimit -v, ulimit -u), or lower SCHEDULER_THREADS"
            ) from error
