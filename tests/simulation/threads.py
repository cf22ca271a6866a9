"""Stand-ins for `threading`, `queue`, `time` and `secrets` that live in the world, and where they are put."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

from django.db import connections

from .world import Task, World


class Thread:
    """A thread of the process of the thread that starts it."""

    def __init__(self, target: Callable[[], object], name: str = "", daemon: bool = True) -> None:
        """Call `target` once it is started."""
        self._target, self.name = target, name
        self._task: Task | None = None
        self._ended = Event()

    def start(self) -> None:
        world = World.current
        assert world.task is not None
        self._task = world.spawn(world.task.process, self._run)

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._ended.set()

    def is_alive(self) -> bool:
        return self._task is not None and not self._ended.is_set()

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)


class Waiters:
    """Threads that wait for something."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: deque[Task] = deque()

    def wait(self, done: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `done` is true, up to so many seconds; return what it is then."""
        world = World.current
        until = None if timeout is None else world.monotonic + timeout
        while not done():
            left = None if until is None else until - world.monotonic
            if left is not None and left <= 0:
                return False
            world.wait(self._waiting, left)
        return True

    def wake_one(self) -> None:
        if self._waiting:
            World.current.wake(self._waiting[0])

    def wake_all(self) -> None:
        while self._waiting:
            self.wake_one()


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        """Start unset."""
        self._flag, self._waiters = False, Waiters()

    def is_set(self) -> bool:
        return self._flag

    def set(self) -> None:
        self._flag = True
        self._waiters.wake_all()

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._waiters.wait(self.is_set, timeout)


class Semaphore:
    """`threading.Semaphore`."""

    def __init__(self, value: int = 1) -> None:
        """Be taken `value` times at once, at most."""
        self._value, self._waiters = value, Waiters()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not self._waiters.wait(lambda: self._value > 0, timeout if blocking else 0.0):
            return False
        self._value -= 1
        return True

    def release(self, n: int = 1) -> None:
        self._value += n
        for _ in range(n):
            self._waiters.wake_one()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *args: object) -> None:
        self.release()


class Condition(Semaphore):
    """`threading.Condition`, which is a lock too."""

    def __init__(self) -> None:
        """Start free."""
        super().__init__()
        self._turn, self._watchers = 0, Waiters()

    def wait(self, timeout: float | None = None) -> bool:
        turn = self._turn
        self.release()
        try:
            return self._watchers.wait(lambda: self._turn != turn, timeout)
        finally:
            self.acquire()

    def notify_all(self) -> None:
        self._turn += 1
        self._watchers.wake_all()


class SimpleQueue:
    """`queue.SimpleQueue`."""

    def __init__(self) -> None:
        """Start empty."""
        self._items: deque[Any] = deque()
        self._waiters = Waiters()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._waiters.wake_one()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._waiters.wait(lambda: bool(self._items), timeout if block else 0.0):
            raise queue.Empty
        item = self._items.popleft()
        World.current.reach("a queue")
        return item

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._items

    def qsize(self) -> int:
        return len(self._items)


class Local:
    """`threading.local`."""

    def _values(self) -> dict[str, Any]:
        task = World.current.task
        assert task is not None
        return task.local.setdefault(self, {})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._values()[name] = value


def sleep(seconds: float) -> None:
    """Have this thread wait."""
    World.current.wait(None, seconds)


def monotonic(*clock: int) -> float:
    """Return the world's monotonic time."""
    return World.current.monotonic


THREADING = SimpleNamespace(Thread=Thread, Event=Event, Condition=Condition, Lock=Semaphore, local=Local)
QUEUE = SimpleNamespace(SimpleQueue=SimpleQueue, Empty=queue.Empty)
TIME = SimpleNamespace(sleep=sleep, monotonic=monotonic, clock_gettime=monotonic)
PLACES: dict[str, dict[str, Any]] = {
    "jobs.scheduler.scheduler": {"time": TIME},
    "jobs.scheduler.wakeup": {"queue": QUEUE},
    "jobs.scheduler.executors.thread": {"queue": QUEUE, "threading": THREADING},
    "jobs.scheduler.executors.process": {"threading": THREADING},
    "jobs.scheduler.executors.remote": {"threading": THREADING},
    "jobs.scheduler.store.clock": {"time": TIME},
    "jobs.worker.ledger": {"threading": THREADING},
    "jobs.worker.starts": {"SimpleQueue": SimpleQueue},
    "jobs.calls.slot": {"threading": THREADING},
    "jobs.worker.slots": {"threading": THREADING, "SimpleQueue": SimpleQueue, "time": TIME},
}
"""The modules whose threads, queues and clocks are the world's."""


@contextmanager
def in_the_world() -> Iterator[None]:
    """Within this context, the scheduler and the worker live in the current world."""
    ids = SimpleNamespace(token_hex=lambda size: f"{World.current.number():0{size * 2}x}")
    uuid = {"uuid4": lambda: UUID(int=World.current.number())}
    places: dict[str, dict[str, Any]] = PLACES | {
        "jobs.core.runs": {"secrets": ids},
        "jobs.core.dispatches": uuid,
    }
    patches: list[Any] = [mock.patch.multiple(module, **names) for module, names in places.items()]
    patches.append(mock.patch("jobs.core.clock.SystemClock.now", _now))
    # Django asks at each access which thread it is in. The world has one.
    patches.append(mock.patch.object(connections, "_connections", SimpleNamespace(default=connections["default"])))
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _now(clock: object) -> datetime:
    return World.current.now()
