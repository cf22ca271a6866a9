"""The listeners that `CRONZIMUS["LISTENERS"]` names: functions of the project that are called with its events.

They are called in a thread of their own, one event after the other, so that a slow or failing listener does not harm
the scheduler, or the worker.
"""

from __future__ import annotations

import inspect
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from apscheduler.events import EVENT_ALL
from apscheduler.schedulers.base import BaseScheduler
from django.db import connections

from ..calls.connections import prepare_connections, tidy_connections
from ..core.references import resolve

logger = logging.getLogger("cronzimus.scheduler.listeners")

Listener = Callable[[Any], object]
"""A function that is called with an event of APScheduler."""

MAX_WAITING = 10_000
"""Events that wait for slow listeners; further ones are dropped."""
DRAIN_SECONDS = 10.0
"""Time that listeners have for the last events when the scheduler, or the worker, ends."""


def load(references: Sequence[str]) -> list[Listener]:
    """Return the functions that `references` name. Raises `ValueError`, which names all wrong ones."""
    found, problems = list[Listener](), list[str]()
    for reference in references:
        try:
            found.append(_checked(resolve(reference)))
        except ValueError as error:
            problems.append(f"{reference}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return found


def _checked(listener: Any) -> Listener:
    if not callable(listener):
        raise ValueError("is not a function")
    if inspect.iscoroutinefunction(listener) or inspect.isasyncgenfunction(listener):
        raise ValueError("is async: a listener must be a plain function")
    if inspect.isgeneratorfunction(listener):
        raise ValueError("is a generator: calling it would do nothing")
    try:
        inspect.signature(listener).bind(None)
    except (TypeError, ValueError) as error:
        raise ValueError("must take one argument, the event") from error
    return listener  # type: ignore[no-any-return]


@contextmanager
def listening(scheduler: BaseScheduler, listeners: Sequence[Listener]) -> Iterator[None]:
    """Within this context, call `listeners` with the events of `scheduler`."""
    if not listeners:
        yield  # APScheduler makes no events that nobody hears
        return
    thread = ListenerThread(listeners)
    thread.start()
    scheduler.add_listener(thread.put, EVENT_ALL)
    try:
        yield
    finally:
        scheduler.remove_listener(thread.put)
        thread.stop()


class ListenerThread(threading.Thread):
    """Calls each listener with each event."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """Call `listeners` with what is `put`, from `start` to `stop`."""
        super().__init__(name="listeners", daemon=True)
        self._listeners = listeners
        self._events: queue.Queue[Any] = queue.Queue(MAX_WAITING)
        self._ended = threading.Event()

    def put(self, event: Any) -> None:
        """Queue `event` for the listeners. Never blocks."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            message = "%d events wait for the listeners: dropped one more"
            logger.warning(message, MAX_WAITING, extra={"action": "event_dropped"})

    def start(self) -> None:
        """Start, if there are listeners."""
        if self._listeners:
            super().start()

    def stop(self) -> None:
        """Wait until the listeners have handled all events, at most `DRAIN_SECONDS`."""
        if not self.is_alive():
            return
        self._ended.set()
        with suppress(queue.Full):  # then it has events to go on with
            self._events.put_nowait(None)  # wakes a thread that waits
        self.join(DRAIN_SECONDS)
        if self.is_alive():
            message = "the listeners did not end within %d s"
            logger.warning(message, DRAIN_SECONDS, extra={"action": "listeners_abandoned"})

    def run(self) -> None:
        """Call the listeners."""
        try:
            while not (self._ended.is_set() and self._events.empty()):
                event = self._events.get()
                if event is not None:
                    for listener in self._listeners:
                        _call(listener, event)
        finally:
            connections.close_all()


def _call(listener: Listener, event: Any) -> None:
    before = prepare_connections()
    try:
        listener(event)
    except BaseException:
        name = getattr(listener, "__qualname__", listener)
        # The text of an event does not name its kind (APScheduler 3.11).
        message, kind = "listener %s raised on %s with code %s", type(event).__name__
        logger.exception(message, name, kind, getattr(event, "code", ""), extra={"action": "listener_failed"})
    finally:
        tidy_connections(before)
