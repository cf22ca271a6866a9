"""Something that fails is tried again after longer and longer waits."""

from __future__ import annotations

from jobs.core.retries import Backoff


def test_the_wait_doubles_with_each_failure_up_to_the_longest() -> None:
    backoff = Backoff(0.2, 1.0)
    assert [backoff.failed(10.0) for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert (backoff.failures, backoff.retry_at) == (5, 11.0)


def test_after_a_success_it_begins_again() -> None:
    backoff = Backoff(0.2, 1.0)
    backoff.failed(10.0)
    assert [backoff.succeeded(), backoff.succeeded()] == [True, False]
    assert (backoff.failures, backoff.retry_at) == (0, float("-inf"))
    assert backoff.failed(20.0) == 0.2
