"""Run functions in worker processes, which can always be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ...core.runs import RunStatus
from ...functions.secrets import UnknownSecret
from ...worker.launch import Launcher
from ...worker.output import Output
from ...worker.parent import Stopped, Worker, WorkerDied
from ...worker.runner import Activity
from ..store.held import HeldRun
from .base import Hooks
from .thread import ThreadExecutor

RUNS_PER_WORKER = 1000
"""A worker is replaced after so many runs, so that leaks of functions do not add up."""


class ProcessExecutor(ThreadExecutor):
    """A fixed number of slots, each with a worker process of its own that is started at the slot's first run.

    Each slot is a thread that waits for its worker: it enforces the timeout, and stops the worker when the run is
    cancelled. When a worker dies, its run fails, and the next run gets a new worker.
    """

    def __init__(self, slots: int, hooks: Hooks, start_worker: Callable[[], Worker] | None = None) -> None:
        """Have `slots` slots.

        `start_worker` starts a worker process; without it, one that imports what this process can import.
        """
        super().__init__(slots, hooks)
        self._start_worker = start_worker or partial(Worker, Launcher.of_this_process())
        self._slot = threading.local()
        self._workers: dict[int, Worker] = {}
        # Held while a worker is told to stop and while its run is taken off it, so that it stops that run and no other.
        self._workers_lock = threading.Lock()

    def cancel(self, run_id: int, reason: str) -> None:
        """Stop the worker that runs `run_id`."""
        with self._workers_lock:
            worker = self._workers.get(run_id)
            if worker is not None:
                worker.stop(RunStatus.CANCELLED, reason)

    def abandon(self) -> None:
        """End all workers that are running a function, at once."""
        with self._workers_lock:
            for worker in self._workers.values():
                worker.end_at_once()

    def _run(self, run: HeldRun) -> None:
        clock, recorder, may_start, _ = self.hooks
        if not may_start(run):
            return
        output = Output()
        worker = self._ready_worker(output)
        # A process takes a while to start, and the lease may have ended meanwhile.
        if not may_start(run):
            if isinstance(worker, Exception):
                self._replace_worker()
            return
        activity = Activity(run, clock.now(), output)
        recorder.started(activity)
        try:
            if isinstance(worker, Exception):
                raise worker
            with self._workers_lock:
                self._workers[run.id] = worker
            ended = worker.call(run, activity)
        except UnknownSecret as error:
            ended = {"status": RunStatus.FAILED, "error": str(error), "traceback": ""}
        except Stopped as stopped:
            ended = {"status": stopped.status, "reason": stopped.reason}
        except WorkerDied:
            self._slot.worker.kill(activity.output)
            ended = {"status": RunStatus.FAILED, "error": self._slot.worker.how_it_ended()}
        except Exception as error:
            ended = {"status": RunStatus.FAILED, "error": f"no process could run it: {error}"}
        finally:
            with self._workers_lock:
                self._workers.pop(run.id, None)
        if "traceback" not in ended or self._slot.worker.runs >= RUNS_PER_WORKER:  # it ended, or has had many runs
            self._replace_worker()
        recorder.finished(activity.outcome(clock.now(), **ended))

    def _ready_worker(self, output: Output) -> Worker | Exception:
        """Return this slot's worker, started where none is alive; or the error of a start that failed, for the run."""
        try:
            worker: Worker | None = getattr(self._slot, "worker", None)
            if worker is None or not worker.alive:  # an earlier run left behind what ended it, or memory ran out
                self._replace_worker()
                self._slot.worker = worker = self._start_worker()
                worker.get_ready(output)
        except Exception as error:
            return error
        return worker

    def _replace_worker(self) -> None:
        """End this slot's worker: the next run starts another."""
        worker = getattr(self._slot, "worker", None)
        if worker is not None:
            worker.close()
            self._slot.worker = None

    def _tidy_thread(self) -> None:
        self._replace_worker()
