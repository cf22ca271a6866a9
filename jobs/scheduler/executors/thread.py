"""Run functions in a pool of threads of the scheduler's process."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

from ..work import HeldRun
from .base import Executor

logger = logging.getLogger(__name__)


class ThreadExecutor(Executor):
    """A fixed number of threads that take runs from one queue.

    Not `concurrent.futures`: a future for each run costs more than a short run itself, and its queue can not be
    taken back when the scheduler stops or stalls. The threads are daemons, so that one that hangs can not keep the
    process from ending when it is told to end at once.
    """

    def __init__(self, threads: int, execute: Callable[[HeldRun], None], low: Callable[[], None]) -> None:
        """Have `threads` threads call `execute` with each run; call `low` whenever the queue runs out."""
        super().__init__()
        self._threads = threads
        self._execute = execute
        self._low = low
        self._queue: deque[HeldRun] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._busy: set[int] = set()
        self._idle = 0
        self._stopping = False
        self._pool: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        return self._threads

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def busy(self) -> int:
        return len(self._busy)

    def held(self) -> set[int]:
        """Return the ids of the runs that it has taken and not ended."""
        with self._changed:
            return self._busy | {run.id for run in self._queue}

    def start(self, scheduler: Any, alias: str) -> None:
        """Start the threads."""
        super().start(scheduler, alias)
        self._pool = [
            threading.Thread(target=self._work, name=f"{alias}-{number}", daemon=True)
            for number in range(1, self._threads + 1)
        ]
        for thread in self._pool:
            thread.start()

    def _do_submit_job(self, job: HeldRun, run_times: Sequence[datetime]) -> None:
        with self._changed:
            self._queue.append(job)
            if self._idle:
                self._changed.notify()

    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        """Take several runs at once: one lock for all of them."""
        with self._changed:
            self._queue.extend(runs)
            self._changed.notify(min(len(runs), self._idle))

    def take_back(self) -> list[HeldRun]:
        """Return the runs that it has not started, and forget them."""
        with self._changed:
            runs = list(self._queue)
            self._queue.clear()
        return runs

    def shutdown(self, wait: Any = True) -> None:
        """Start nothing more; with `wait`, return when what is running has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if wait:
            for thread in self._pool:
                thread.join()

    def _work(self) -> None:
        try:
            run = self._next(None)
            while run is not None:
                self._run(run)
                run = self._next(run)
        finally:
            connections.close_all()

    def _run(self, run: HeldRun) -> None:
        try:
            self._execute(run)
        except BaseException:
            # It has its own net; should that ever tear, the thread goes on to the next run.
            logger.exception("run %d could not be carried out", run.id, extra={"action": "executor_failed"})

    def _next(self, ended: HeldRun | None) -> HeldRun | None:
        with self._changed:
            if ended is not None:
                self._busy.discard(ended.id)
            while not self._queue and not self._stopping:
                self._idle += 1
                self._low()
                self._changed.wait()
                self._idle -= 1
            if not self._queue:
                return None
            run = self._queue.popleft()
            self._busy.add(run.id)
            return run
