"""The bell that the loop waits on."""

from __future__ import annotations

import threading

from jobs.scheduler.wakeup import Bell


def test_without_a_ring_the_wait_times_out() -> None:
    assert Bell().wait(0) is False


def test_a_ring_ends_the_next_wait_at_once() -> None:
    bell = Bell()
    bell.set()
    assert bell.wait(60) is True


def test_a_wait_uses_the_ring_up() -> None:
    bell = Bell()
    bell.set()
    bell.wait(0)
    assert bell.wait(0) is False


def test_many_rings_end_one_wait() -> None:
    bell = Bell()
    for _ in range(1000):
        bell.set()
    assert bell.wait(0) is True
    assert bell.wait(0) is False


def test_a_bell_is_set_until_it_is_cleared() -> None:
    bell = Bell()
    bell.set()
    assert bell.is_set()
    bell.clear()
    assert not bell.is_set()
    assert bell.wait(0) is False


def test_a_silent_bell_can_be_cleared() -> None:
    bell = Bell()
    bell.clear()
    assert not bell.is_set()


def test_a_ring_from_another_thread_ends_the_current_wait() -> None:
    bell = Bell()
    other = threading.Thread(target=bell.set)
    other.start()
    assert bell.wait(60) is True
    other.join()
