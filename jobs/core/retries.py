"""Decide whether and when to try again: a run that failed, or an operation on a service that is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a run is tried again (`max`), and after how many seconds.

    The first retry comes after `delay`, each further one after `backoff` times the delay before, at most `max_delay`.
    Each is delayed by up to `jitter` more, so that runs that failed together are not tried again together.
    """

    max: int
    delay: float = 10
    backoff: float = 2
    max_delay: float = 3600
    jitter: float = 0

    @classmethod
    def of(cls, definition: Mapping[str, Any] | None) -> Retries | None:
        """Return the retries of a stored definition; None if it has none.

        Raises `TypeError` for a damaged definition.
        """
        return cls(**definition) if definition else None


def growing_wait(failures: int, first: float, last: float) -> float:
    """Return the seconds to wait after `failures` failures in a row: `first`, doubled each time, at most `last`."""
    return min(first * 2.0 ** min(failures - 1, 10), last)


class Backoff:
    """Counts the failures in a row, and tells when to try again. Its caller writes the log."""

    def __init__(self, first: float, last: float) -> None:
        """Wait `first` seconds after the first failure, twice as long after each further one, at most `last`."""
        self._first, self._last = first, last
        self.failures = 0
        self.retry_at = float("-inf")
        """The monotonic time of the next try, in seconds."""

    def failed(self, at: float) -> float:
        """Note a failure at the monotonic time `at`; return the seconds until the next try."""
        self.failures += 1
        wait = growing_wait(self.failures, self._first, self._last)
        self.retry_at = at + wait
        return wait

    def succeeded(self) -> bool:
        """Note a success; return whether it is the first one after failures."""
        has_recovered = self.failures > 0
        self.failures, self.retry_at = 0, float("-inf")
        return has_recovered


def attempts_allowed(definition: object) -> int:
    """Return the number of attempts that the stored retries `definition` allow; 1 if they are missing or damaged."""
    most = definition.get("max") if isinstance(definition, Mapping) else 0
    return 1 + (most if isinstance(most, int) and not isinstance(most, bool) else 0)


def retry_delay(retries: Retries | None, attempt: int, *, key: str) -> timedelta | None:
    """Return how long after the end of attempt number `attempt` the next one may start; None if there is none.

    `key` names the run: every process computes the same jitter for it.
    """
    if retries is None or attempt > retries.max:
        return None
    try:
        delay = min(retries.delay * retries.backoff ** (attempt - 1), retries.max_delay)
    except OverflowError:
        delay = retries.max_delay
    share = int.from_bytes(blake2b(f"{key}|{attempt}".encode(), digest_size=8).digest()) / 2**64
    return timedelta(seconds=delay + retries.jitter * share)
