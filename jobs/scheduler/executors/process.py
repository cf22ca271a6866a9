"""Run functions in processes of their own, which can be stopped whatever they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ...core.clock import Clock
from ...core.runs import RunStatus
from ...worker.handle import Stopped, Worker, WorkerDied
from ...worker.output import Output
from ...worker.runner import Activity
from ..recorder import Recorder
from ..store.held import HeldRun
from .thread import ThreadExecutor

RUNS = 1000
"""Runs after which a worker is replaced, so that what leaks in functions does not add up."""


class ProcessExecutor(ThreadExecutor):
    """A fixed number of slots, each with a worker process of its own, started at its first run.

    Each slot is a thread that waits for its worker: it keeps the timeout, and stops the worker where the run is
    cancelled. A worker that dies fails its run, and the next run gets a new one.
    """

    def __init__(
        self,
        slots: int,
        clock: Clock,
        recorder: Recorder,
        may_start: Callable[[HeldRun], bool],
        low: Callable[[], None],
    ) -> None:
        """Have `slots` slots; ask `may_start` before each run, and call `low` whenever the queue runs out."""
        super().__init__(slots, self._call, low, self._stop)
        self._clock = clock
        self._recorder = recorder
        self._may_start = may_start
        self._own = threading.local()
        self._workers: dict[int, Worker] = {}
        # Held while a worker is told to stop, and while it is taken off the run: it stops that run and no other.
        self._changed = threading.Lock()

    def _stop(self, run_id: int, reason: str) -> None:
        with self._changed:
            worker = self._workers.get(run_id)
            if worker is not None:
                worker.stop(RunStatus.CANCELLED, reason)

    def _call(self, run: HeldRun) -> None:
        if not self._may_start(run):
            return
        output = Output()
        worker = self._ready_worker(output)
        # A process takes its time to start, and this one may have been frozen meanwhile: does the lease still hold?
        if not self._may_start(run):
            if isinstance(worker, Exception):
                self._tidy({})
            return
        activity = Activity(run, self._clock.now(), output)
        self._recorder.started(activity)
        try:
            if isinstance(worker, Exception):
                raise worker
            with self._changed:
                self._workers[run.id] = worker
            ended = worker.call(run, activity)
        except Stopped as stopped:
            ended = {"status": stopped.status, "reason": stopped.reason}
        except WorkerDied:
            self._own.worker.kill(activity.output)
            ended = {"status": RunStatus.FAILED, "error": self._own.worker.how_it_ended()}
        except Exception as error:
            ended = {"status": RunStatus.FAILED, "error": f"no process could run it: {error}"}
        finally:
            with self._changed:
                self._workers.pop(run.id, None)
        self._tidy(ended)
        self._recorder.finished(activity.outcome(self._clock.now(), **ended))

    def _ready_worker(self, output: Output) -> Worker | Exception:
        """Return this slot's worker, started if none is alive; or why it can not be started, for the run to say so."""
        try:
            worker: Worker | None = getattr(self._own, "worker", None)
            if worker is None or not worker.alive:  # ended by what an earlier run left behind, or for want of memory
                self._tidy({})
                self._own.worker = worker = Worker()
                worker.get_ready(output)
        except Exception as error:
            return error
        return worker

    def _tidy(self, ended: dict[str, Any]) -> None:
        """Replace a worker that has ended, and one that has had many runs."""
        worker = getattr(self._own, "worker", None)
        if worker is not None and ("traceback" not in ended or worker.runs >= RUNS):
            worker.close()
            self._own.worker = None

    def abandon(self) -> None:
        """End all that is going on, at once."""
        with self._changed:
            for worker in self._workers.values():
                worker.end_at_once()

    def _leave(self) -> None:
        worker = getattr(self._own, "worker", None)
        if worker is not None:
            worker.close()
