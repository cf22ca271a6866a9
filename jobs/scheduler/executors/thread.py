"""Run functions in threads of the scheduler's process."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from typing import Any

from django.db import connections

from ...calls.runner import execute
from ...core.held import HeldRun
from ..threads import start_all
from .base import Hooks, RunExecutor

logger = logging.getLogger("cronzimus.scheduler.executors.thread")


class ThreadExecutor(RunExecutor):
    """A fixed number of threads that take runs from one queue.

    It does without `concurrent.futures`: a future costs more than a short run, and runs cannot be taken back from its
    queue when the scheduler stops or stalls. The threads are daemons, so that a function that hangs cannot keep the
    process alive when it is told to end at once.

    It does without a lock: a thread that loses the interpreter while it holds one makes all others wait for the
    interpreter's switch interval. The threads share a `SimpleQueue`, and use single operations on a dict.
    """

    def __init__(self, slots: int, hooks: Hooks) -> None:
        """Prepare `slots` threads."""
        super().__init__()
        self.hooks = hooks
        self._slots = slots
        self._queue: queue.SimpleQueue[HeldRun | None] = queue.SimpleQueue()
        self._held: dict[int, HeldRun] = {}
        self._low_mark = 0
        self._alias = ""
        self._threads: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def queued(self) -> int:
        return self._queue.qsize()

    @property
    def taken(self) -> int:
        return len(self._held)

    def held(self) -> set[int]:
        return set(self._held.copy())

    def start(self, scheduler: Any, alias: str) -> None:
        """Start the threads. Raises `TooFewThreads` if the system has no room for them."""
        super().start(scheduler, alias)
        self._alias = alias
        self._threads = [
            threading.Thread(target=self._work, name=f"{alias}-{number}", daemon=True)
            for number in range(1, self._slots + 1)
        ]
        start_all(self._threads)

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
        """Set the flag that the function may look at: a thread cannot be ended from outside."""
        self.hooks.recorder.cancel(run_id, reason)

    def shutdown(self, wait: bool = True) -> None:
        for _ in self._threads:
            self._queue.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        try:
            while True:
                self._tell_low()
                run = self._queue.get()
                if run is None:
                    return
                self._run_safely(run)
                self._held.pop(run.id, None)
        finally:
            self._tidy_thread()
            connections.close_all()

    def _tell_low(self) -> None:
        # Called once when half of a batch has been taken, so that the next batch arrives before the last run ends,
        # and whenever the queue is empty.
        left = self._queue.qsize()
        if left <= self._low_mark or not left:
            self._low_mark = -1
            self.hooks.on_low(self._alias)

    def _run_safely(self, run: HeldRun) -> None:
        try:
            self._run(run)
        except BaseException:
            # The runner catches the errors of functions. If it fails itself, the thread goes on with the next run.
            logger.exception("run %d could not be executed", run.id, extra={"action": "executor_failed"})

    def _run(self, run: HeldRun) -> None:
        hooks = self.hooks
        if hooks.may_start(run):
            started = hooks.recorder.started
            hooks.recorder.finished(execute(run, hooks.clock, started, keep_called=self.has_listeners))

    def _tidy_thread(self) -> None:
        """Free the resources of this thread, when it ends."""
