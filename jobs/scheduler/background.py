"""A scheduler's tasks other than running jobs, in a thread of their own: a slow task never delays a run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import Error, connection

from ..alerts.delivery import BATCH, Deliverer
from ..alerts.watch import watch
from ..core.clock import Clock
from ..db.errors import one_line
from .store.backfills import advance
from .store.connection import dedicated_connection
from .store.statistics import roll_up

logger = logging.getLogger("cronzimus.scheduler.background")

IDLE_SECONDS = 1.0
"""Time between two looks at which tasks are due."""
ALERTS_SECONDS, BACKFILLS_SECONDS, INCIDENTS_SECONDS, STATISTICS_SECONDS = 2.0, 1.0, 15.0, 30.0
"""Time between the end of a task and its next turn."""
REPEAT_SECONDS = 60.0
"""Time after which the log repeats the reason for which a task waits."""


@dataclass(slots=True)
class Task:
    """A task that is done every `seconds`. `run` returns whether there is more to do at once."""

    name: str
    seconds: float
    run: Callable[[], bool]
    due_at: float = 0.0
    told: str = ""
    told_at: float = 0.0


class Background:
    """A thread that does each task when it is due. A task that fails is logged and tried again."""

    def __init__(self, clock: Clock, tasks: Sequence[Task]) -> None:
        """Prepare the thread; `start` starts it.

        No task is done at once: overdue runs come first.
        """
        self._clock = clock
        self._tasks = tasks
        for task in tasks:
            task.due_at = clock.monotonic() + task.seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._loop, name="background", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop after the current task, and wait for it up to `timeout` seconds."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def step(self) -> None:
        """Do each task that is due, once."""
        for task in self._tasks:
            if self._stopped.is_set():
                return
            if self._clock.monotonic() >= task.due_at:
                has_more = self._do(task)
                task.due_at = self._clock.monotonic() + (0.0 if has_more else task.seconds)

    def _do(self, task: Task) -> bool:
        try:
            return task.run()
        except Error as error:
            connection.close()
            self._tell_that_it_waits(task, error)
        except Exception:
            logger.exception("%s failed", task.name, extra={"action": "background_failed", "task": task.name})
        return False

    def _tell_that_it_waits(self, task: Task, error: Error) -> None:
        """Log it once a minute, or when something else is wrong: an outage may last for hours."""
        message, now = one_line(error), self._clock.monotonic()
        if message != task.told or now >= task.told_at + REPEAT_SECONDS:
            task.told, task.told_at = message, now
            logger.warning("%s waits for the database: %s", task.name, message, extra={"action": "background_waits"})

    def _loop(self) -> None:
        with dedicated_connection():
            while not self._stopped.is_set():
                self.step()
                self._stopped.wait(IDLE_SECONDS)


def background_tasks(clock: Clock) -> list[Task]:
    """Return the background tasks of a scheduler."""
    deliverer = Deliverer(clock)

    def deliver() -> bool:
        deliverer.ping_while_jobs_run()
        return deliverer.deliver_due() == BATCH

    def look() -> bool:
        watch(clock.now())
        return False

    return [
        Task("alerts", ALERTS_SECONDS, deliver),
        Task("backfills", BACKFILLS_SECONDS, lambda: advance(clock.now())),
        Task("incidents", INCIDENTS_SECONDS, look),
        Task("statistics", STATISTICS_SECONDS, lambda: roll_up(clock.now())),
    ]
