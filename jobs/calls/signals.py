"""Signal handlers of this process alone, which the children that functions fork do not inherit.

A forked child (`multiprocessing`, `os.fork`) starts with its parent's handlers. With the scheduler's handler for
SIGTERM it would go on instead of ending, and `Process.terminate(); join()` in a function would wait for ever.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = Callable[[int, Any], None]
"""A function that Python calls with the number of a signal and the current frame."""

_handlers: dict[int, tuple[Handler, Any]] = {}
"""This process's own handler and the one that it replaced, by the number of the signal."""
_mask = threading.local()


@contextmanager
def handling(numbers: Iterable[int], handler: Handler) -> Iterator[None]:
    """Handle the signals `numbers` with `handler` within this context, in this process but not in forked children."""
    installed = list(numbers)
    for number in installed:
        handle(number, handler)
    try:
        yield
    finally:
        for number in installed:
            signal.signal(number, _handlers.pop(number)[1])


def handle(number: int, handler: Handler) -> None:
    """Handle the signal `number` with `handler`, in this process but not in forked children."""
    _handlers[number] = handler, signal.signal(number, handler)


def _before_fork() -> None:
    # Blocked, so that a signal right after the fork waits until the child has its final handlers.
    _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, _handlers)


def _after_fork_in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


def _after_fork_in_child() -> None:
    for number, (handler, replaced) in _handlers.items():
        if signal.getsignal(number) is handler:  # otherwise the function has set another one, for its children as well
            signal.signal(number, replaced)
    _handlers.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
