"""A world of processes on one fake clock. Its threads are greenlets, so that a history comes out the same every time.

A thread goes on until it waits. Time passes only while all of them wait, and by a few microseconds with each switch.
Every statement and every message is a point at which a fault may hit the process that reaches it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from greenlet import GreenletExit, getcurrent, greenlet

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
"""The time at the beginning of every history."""
SWITCH_SECONDS = 0.00001
"""Time that a switch to another thread takes."""
SILENCE_SECONDS = 10.0
"""Time without an answer after which a connection counts as lost (`tcp_user_timeout` of the product)."""
SPIN_POINTS = 20_000
"""Points without a wait after which a thread counts as one that never waits."""


class Spin(BaseException):
    """A thread goes round without a wait. No code of the product catches it."""


class Fault:
    """What happens to a process at the `at`-th point that it reaches from now on.

    `crash`: it ends at once. `sever`: it loses its connection there, and with it the answer. `gone`: the same, and the
    other side is away for some seconds. `silent`: the other side does not answer for some seconds. `pause`: it stands
    still for some seconds.
    """

    KINDS = ("crash", "sever", "gone", "silent", "pause")

    def __init__(self, kind: str, at: int, seconds: float = 0.0, what: str = "", after: str = "") -> None:
        """Happen once, `at` 1 or later.

        Only points whose description has `what` count, from the one on whose description has `after`.
        """
        self.kind, self.at, self.seconds, self.what, self.after = kind, at, seconds, what, after


class Process:
    """An operating system's process: threads that end together, and connections that end with them."""

    def __init__(self, name: str) -> None:
        """Have no thread yet."""
        self.name = name
        self.is_dead = self.is_known = False
        self.paused_until = self.gone_until = self.silent_until = 0.0
        self.fault: Fault | None = None
        self.tasks: list[Task] = []
        self.connections: list[Any] = []
        self.children: list[Process] = []
        self.at_end: Callable[[], object] = lambda: None


class Task(greenlet):
    """A thread of a process."""

    def __init__(self, world: World, process: Process, target: Callable[[], object]) -> None:
        """Call `target` once the world lets it run."""
        super().__init__(parent=world.hub)
        self.process, self.target = process, target
        self.connection: Any = None
        self.local: dict[Any, dict[str, Any]] = {}
        self.waits_for: deque[Task] | None = None
        self.turn = 0
        """Counts its waits: a wake-up of an earlier one is void."""
        self.was_woken = False

    def run(self) -> None:
        try:
            self.target()
        except GreenletExit:
            return


class World:
    """Its processes, its clocks, and the threads that wait."""

    current: World
    """The one world of the moment."""

    def __init__(self, make_connection: Callable[[Process], Any]) -> None:
        """Begin at `START`; `make_connection` makes the connection of a thread to the database."""
        World.current = self
        self.hub = getcurrent()
        self.monotonic = 1000.0
        self.offset = timedelta()
        self.stage: Any = None
        """The state that the functions share."""
        self.errors: list[BaseException] = []
        self.points = self._points_before = 0
        self.reached: list[str] = []
        """The points at which faults hit, for people."""
        self._make_connection = make_connection
        self._ready: deque[tuple[Task, int]] = deque()
        self._sleeping: list[tuple[float, int, Task, int]] = []
        self._number = 0
        self._doomed: list[Process] = []
        self._processes: list[Process] = []

    # --- clocks ------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Return the time that the wall clock of all processes shows."""
        return START + timedelta(seconds=self.monotonic - 1000.0) + self.offset

    def number(self) -> int:
        """Return a number that no call has returned before."""
        self._number += 1
        return self._number

    # --- for threads -------------------------------------------------------------------------------------------------

    @property
    def task(self) -> Task | None:
        """The thread that runs now; None outside of all of them."""
        found = getcurrent()
        return found if isinstance(found, Task) else None

    def spawn(self, process: Process, target: Callable[[], object]) -> Task:
        """Start a thread."""
        self._know(process)
        task = Task(self, process, target)
        process.tasks.append(task)
        self._ready.append((task, task.turn))
        return task

    def wait(self, waiters: deque[Task] | None, seconds: float | None) -> bool:
        """Have this thread wait until `wake` is called for it, or for some seconds; return whether it was woken."""
        task = self.task
        assert task is not None, "only threads of the world wait"
        if task.process.is_dead:
            raise GreenletExit
        task.turn += 1
        task.was_woken = False
        task.waits_for = waiters
        if waiters is not None:
            waiters.append(task)
        if seconds is not None:
            self._sleep(task, self.monotonic + max(seconds, 0.0))
        self.hub.switch()
        if task.process.is_dead:
            raise GreenletExit
        return task.was_woken

    def wake(self, task: Task) -> None:
        """End the wait of a thread."""
        self._stop_waiting(task)
        task.was_woken = True
        self._ready.append((task, task.turn))

    def reach(self, what: str, lose: Callable[[], Exception] | None = None) -> None:
        """Say that this thread's process has come to a point where a fault may hit it.

        `lose` cuts the connection that is used there, and returns what is raised then.
        """
        task = self.task
        if task is None:
            return
        process = task.process
        if process.is_dead:
            raise GreenletExit
        self.points += 1
        if self.points - self._points_before > SPIN_POINTS:
            raise Spin(f"{process.name} goes round without a wait, at {what}")
        if lose is not None:
            self._go_without(process, lose)
        fault = process.fault
        if fault is None or (lose is None and fault.kind not in ("crash", "pause")):
            return
        if fault.after in what:
            fault.after = ""
        if fault.after or fault.what not in what:
            return
        fault.at -= 1
        if fault.at <= 0:
            process.fault = None
            self.reached.append(f"{self.now():%H:%M:%S.%f} {process.name}: {fault.kind} {fault.seconds} at {what}")
            self._hit(process, fault, lose)

    def _go_without(self, process: Process, lose: Callable[[], Exception]) -> None:
        """Raise if the other side is away; wait if it is silent, and raise if that takes too long."""
        if self.monotonic < process.gone_until:
            raise lose()
        left = process.silent_until - self.monotonic
        if left > 0:
            self.wait(None, min(left, SILENCE_SECONDS))
            if left > SILENCE_SECONDS:
                raise lose()

    def _hit(self, process: Process, fault: Fault, lose: Callable[[], Exception] | None) -> None:
        if fault.kind == "pause":
            self.pause(process, fault.seconds)
            self.wait(None, 0.0)
        elif fault.kind == "crash":
            self.crash(process)
            raise GreenletExit
        elif lose is None:
            return
        elif fault.kind == "silent":
            process.silent_until = self.monotonic + fault.seconds
            self._go_without(process, lose)
        else:
            if fault.kind == "gone":
                process.gone_until = self.monotonic + fault.seconds
            raise lose()

    # --- for those outside -------------------------------------------------------------------------------------------

    def _know(self, process: Process) -> None:
        if not process.is_known:
            process.is_known = True
            self._processes.append(process)

    def pause(self, process: Process, seconds: float) -> None:
        """Have a process stand still."""
        self._know(process)
        process.paused_until = max(process.paused_until, self.monotonic + seconds)

    def busy_until(self) -> float:
        """Return when no process stands still or waits for an answer any more."""
        return max(max(process.paused_until, process.silent_until + SILENCE_SECONDS) for process in self._processes)

    def crash(self, process: Process) -> None:
        """End a process at once, and its children with it."""
        if not process.is_dead:
            process.is_dead = True
            for connection in process.connections:
                connection.sever()
            self._doomed.append(process)
            for child in process.children:
                self.crash(child)

    def run(self, seconds: float) -> None:
        """Let the world go on for some seconds."""
        until = self.monotonic + seconds
        while self._step(until):
            pass
        self.monotonic = max(self.monotonic, until)
        if self.errors:
            error = self.errors[0]
            raise AssertionError(str(error)) if isinstance(error, Spin) else error

    def end(self) -> None:
        """End all processes."""
        for process in self._processes:
            self.crash(process)
        self._bury()

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _step(self, until: float) -> bool:
        """Run the next thread up to its next wait; return whether there was one by `until`."""
        self._bury()
        if self._ready and self.monotonic <= until:
            task, turn = self._ready.popleft()
        else:
            if not self._sleeping or self._sleeping[0][0] > until:
                return False
            at, _, task, turn = heapq.heappop(self._sleeping)
            self.monotonic = max(self.monotonic, at)
        if turn != task.turn or task.dead or task.process.is_dead:
            return True
        if self.monotonic < task.process.paused_until:
            self._sleep(task, task.process.paused_until)
            return True
        self.monotonic += SWITCH_SECONDS
        self._stop_waiting(task)
        self._switch(task, task.switch)
        return True

    def _switch(self, task: Task, switch: Callable[[], object]) -> None:
        if task.connection is None:
            task.connection = self._make_connection(task.process)
        before = connections["default"]
        connections["default"] = task.connection
        self._points_before = self.points
        try:
            switch()
        except BaseException as error:
            if not task.process.is_dead:
                self.errors.append(error)
        finally:
            task.connection = connections["default"]
            connections["default"] = before

    def _bury(self) -> None:
        while self._doomed:
            process = self._doomed.pop()
            for task in process.tasks:
                self._stop_waiting(task)
                if task.connection is not None and not task.dead:
                    self._switch(task, task.throw)
            for connection in process.connections:
                connection.close_for_good()
            process.at_end()

    def _sleep(self, task: Task, until: float) -> None:
        heapq.heappush(self._sleeping, (until, self.number(), task, task.turn))

    @staticmethod
    def _stop_waiting(task: Task) -> None:
        if task.waits_for is not None:
            if task in task.waits_for:
                task.waits_for.remove(task)
            task.waits_for = None
