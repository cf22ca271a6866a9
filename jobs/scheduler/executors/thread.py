"""Run functions in a pool of threads of the scheduler's process."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connections

from ..store.held import HeldRun
from .base import Executor

logger = logging.getLogger("cronzimus.scheduler.executors.thread")


class ThreadExecutor(Executor):
    """A fixed number of threads that take runs from one queue.

    It does without `concurrent.futures`: a future costs more than a short run, and runs cannot be taken back from its
    queue when the scheduler stops or stalls. The threads are daemons, so that a function that hangs cannot keep the
    process alive when it is told to end at once.

    It does without a lock: a thread that loses the interpreter while it holds one makes all others wait for the
    interpreter's switch interval. The threads share a `SimpleQueue`, and use single operations on a dict.
    """

    def __init__(
        self,
        threads: int,
        execute: Callable[[HeldRun], None],
        low: Callable[[], None],
        cancel: Callable[[int, str], None],
    ) -> None:
        """Have `threads` threads call `execute` with each run.

        `low` is called when the queue runs low; `cancel` with the id of a run that is to end, and the reason.
        """
        super().__init__()
        self._threads = threads
        self._execute = execute
        self._low = low
        self._cancel = cancel
        self._queue: queue.SimpleQueue[HeldRun | None] = queue.SimpleQueue()
        self._held: dict[int, HeldRun] = {}
        self._low_mark = 0
        self._pool: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        return self._threads

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    @property
    def taken(self) -> int:
        return len(self._held)

    def held(self) -> set[int]:
        return set(self._held.copy())

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
        self.submit_all([job])

    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        for run in runs:
            # Held first, then queued: at every moment a run is in at least one of the two.
            self._held[run.id] = run
            self._queue.put(run)
        self._low_mark = self._queue.qsize() // 2

    def take_back(self) -> list[HeldRun]:
        runs: list[HeldRun] = []
        stops = 0
        try:
            while True:
                run = self._queue.get_nowait()
                if run is None:
                    stops += 1
                else:
                    runs.append(run)
        except queue.Empty:
            for _ in range(stops):
                self._queue.put(None)
        for run in runs:
            del self._held[run.id]
        return runs

    def take_back_one(self, run_id: int) -> HeldRun | None:
        runs = self.take_back()
        self.submit_all([run for run in runs if run.id != run_id])
        return next((run for run in runs if run.id == run_id), None)

    def cancel(self, run_id: int, reason: str) -> None:
        """Tell the function, which may look: a thread cannot be ended from outside."""
        self._cancel(run_id, reason)

    def shutdown(self, wait: Any = True) -> None:
        for _ in self._pool:
            self._queue.put(None)
        if wait:
            for thread in self._pool:
                thread.join()

    def _work(self) -> None:
        try:
            while True:
                self._tell_low()
                run = self._queue.get()
                if run is None:
                    return
                self._run(run)
                self._held.pop(run.id, None)
        finally:
            self._leave()
            connections.close_all()

    def _tell_low(self) -> None:
        # Once when half of a batch has been taken, so that the next batch arrives before the last run ends; and
        # whenever the queue is empty.
        left = self._queue.qsize()
        if left <= self._low_mark or not left:
            self._low_mark = -1
            self._low()

    def _run(self, run: HeldRun) -> None:
        try:
            self._execute(run)
        except BaseException:
            # The runner catches what functions raise. Should it fail itself, the thread goes on with the next run.
            logger.exception("run %d could not be executed", run.id, extra={"action": "executor_failed"})

    def _leave(self) -> None:
        """Free what belongs to this thread, when it ends."""
