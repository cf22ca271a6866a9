"""The decision whether and when to retry a run: the same for all schedulers, and within bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.retries import Retries, growing_wait, retry_delay
from jobs.core.runs import FAILURES, RunStatus


def delays(**fields: Any) -> list[float | None]:
    """Return the seconds before each attempt after the first, and None after the last."""
    retries = Retries(**{"max": 3, **fields})
    found = [retry_delay(retries, attempt, key="1") for attempt in range(1, retries.max + 2)]
    return [None if delay is None else delay.total_seconds() for delay in found]


def test_a_job_without_retries_is_not_tried_again() -> None:
    assert Retries.of(None) is None
    assert Retries.of({}) is None
    assert retry_delay(None, 1, key="1") is None


def test_a_stored_definition_is_read() -> None:
    assert Retries.of({"max": 2, "delay": 5}) == Retries(max=2, delay=5, backoff=2, max_delay=3600, jitter=0)


def test_each_delay_is_longer_than_the_one_before_by_the_backoff() -> None:
    assert delays(delay=10, backoff=3) == [10, 30, 90, None]


def test_a_backoff_of_one_keeps_the_delay() -> None:
    assert delays(delay=0.5, backoff=1) == [0.5, 0.5, 0.5, None]


def test_no_delay_is_longer_than_the_longest() -> None:
    assert delays(delay=10, backoff=10, max_delay=150) == [10, 100, 150, None]


def test_a_delay_of_nothing_stays_nothing() -> None:
    assert delays(delay=0) == [0, 0, 0, None]


def test_after_the_last_retry_there_is_none() -> None:
    assert delays(max=0) == [None]
    assert retry_delay(Retries(max=3), 50, key="1") is None


@pytest.mark.parametrize("backoff", [100, 100.0])
def test_a_delay_beyond_all_numbers_is_the_longest(backoff: float) -> None:
    retries = Retries(max=1000, delay=86400, backoff=backoff, max_delay=3600)
    assert retry_delay(retries, 1000, key="1") == timedelta(hours=1)


@given(key=st.text(max_size=20), attempt=st.integers(1, 100), jitter=st.floats(0, 1000))
def test_the_jitter_adds_up_to_its_own_length_and_never_less_than_nothing(
    key: str, attempt: int, jitter: float
) -> None:
    delay = retry_delay(Retries(max=100, delay=10, backoff=1, jitter=jitter), attempt, key=key)
    assert delay is not None
    assert timedelta(seconds=10) <= delay <= timedelta(seconds=10 + jitter, microseconds=1)


def test_the_same_run_has_the_same_jitter_in_every_process() -> None:
    retries = Retries(max=3, jitter=60)
    assert retry_delay(retries, 1, key="7") == retry_delay(retries, 1, key="7")


def test_runs_and_attempts_differ_in_their_jitter() -> None:
    retries = Retries(max=3, delay=10, backoff=1, jitter=60)
    found = {retry_delay(retries, attempt, key=key) for attempt in (1, 2) for key in ("7", "8")}
    assert len(found) == 4


def test_what_a_person_cancelled_is_not_tried_again() -> None:
    assert set(FAILURES) == {RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST}


def test_the_wait_after_failures_doubles_up_to_the_last() -> None:
    assert [growing_wait(failures, 0.2, 2.0) for failures in (1, 2, 3, 4, 5, 10**9)] == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
