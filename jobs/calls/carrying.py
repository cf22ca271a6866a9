"""Let the threads that a function starts, and the tasks that it hands to a pool, belong to its run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any


@contextmanager
def threads_carry(variable: ContextVar[Any]) -> Iterator[None]:
    """Within the context, give new threads and tasks of thread pools the value that `variable` has where they start.

    None is not handed on.
    """
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def start_with_value(thread: threading.Thread) -> None:
        value = variable.get()
        if value is not None:
            _carry_into(thread, variable, value)
        start(thread)

    def submit_with_value(pool: ThreadPoolExecutor, task: Callable[..., Any], /, *args: Any, **kw: Any) -> Future[Any]:
        # Another run may have started the threads of a pool. An InterpreterPoolExecutor (Python 3.14) is a
        # ThreadPoolExecutor whose tasks run in other interpreters, to which no value can be handed.
        value = variable.get()
        if value is not None and type(pool).__module__ != "concurrent.futures.interpreter":
            task = partial(_call_with_value, variable, value, task)
        return submit(pool, task, *args, **kw)

    threading.Thread.start = start_with_value  # type: ignore[method-assign, assignment]
    ThreadPoolExecutor.submit = submit_with_value  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        # If somebody else has wrapped ours since, it stays: without runs it does nothing.
        if threading.Thread.start is start_with_value:
            threading.Thread.start = start  # type: ignore[method-assign]
        if ThreadPoolExecutor.submit is submit_with_value:
            ThreadPoolExecutor.submit = submit  # type: ignore[method-assign]


def _carry_into(thread: threading.Thread, variable: ContextVar[Any], value: Any) -> None:
    run = thread.run

    def run_with_value() -> None:
        thread.__dict__.pop("run", None)  # or the thread and this function would keep each other in memory
        variable.set(value)
        run()

    thread.run = run_with_value  # type: ignore[method-assign]


def _call_with_value(variable: ContextVar[Any], value: Any, task: Callable[..., Any], /, *args: Any, **kw: Any) -> Any:
    token = variable.set(value)
    try:
        return task(*args, **kw)
    finally:
        variable.reset(token)
