"""Run functions in worker processes, which can be stopped whatever the functions do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ...core.clock import Clock
from ...core.runs import RunStatus
from ...worker.launch import Launcher
from ...worker.output import Output
from ...worker.parent import Stopped, Worker, WorkerDied
from ...worker.runner import Activity
from ..recorder import Recorder
from ..store.held import HeldRun
from .thread import ThreadExecutor

RUNS_PER_WORKER = 1000
"""A worker is replaced after so many runs, so that what functions leak does not add up."""


class ProcessExecutor(ThreadExecutor):
    """A fixed number of slots, each with a worker process of its own that is started at the slot's first run.

    Each slot is a thread that waits for its worker: it enforces the timeout, and stops the worker when the run is
    cancelled. When a worker dies, its run fails, and the next run gets a new worker.
    """

    def __init__(
        self,
        slots: int,
        clock: Clock,
        recorder: Recorder,
        may_start: Callable[[HeldRun], bool],
        low: Callable[[], None],
        start_worker: Callable[[], Worker] | None = None,
    ) -> None:
        """Have `slots` slots. Ask `may_start` before each run, and call `low` when the queue runs low.

        `start_worker` starts a worker process; without it, one that imports what this process can import.
        """
        super().__init__(slots, self._call, low, self._stop)
        self._clock = clock
        self._recorder = recorder
        self._may_start = may_start
        self._start_worker = start_worker or partial(Worker, Launcher.of_this_process())
        self._slot = threading.local()
        self._workers: dict[int, Worker] = {}
        # Held while a worker is told to stop and while its run is taken off it, so that it stops that run and no other.
        self._workers_lock = threading.Lock()

    def _stop(self, run_id: int, reason: str) -> None:
        with self._workers_lock:
            worker = self._workers.get(run_id)
            if worker is not None:
                worker.stop(RunStatus.CANCELLED, reason)

    def _call(self, run: HeldRun) -> None:
        if not self._may_start(run):
            return
        output = Output()
        worker = self._ready_worker(output)
        # A process takes a while to start, and the lease may have run out meanwhile.
        if not self._may_start(run):
            if isinstance(worker, Exception):
                self._replace_worker()
            return
        activity = Activity(run, self._clock.now(), output)
        self._recorder.started(activity)
        try:
            if isinstance(worker, Exception):
                raise worker
            with self._workers_lock:
                self._workers[run.id] = worker
            ended = worker.call(run, activity)
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
        self._recorder.finished(activity.outcome(self._clock.now(), **ended))

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

    def abandon(self) -> None:
        """End all workers that are running a function, at once."""
        with self._workers_lock:
            for worker in self._workers.values():
                worker.end_at_once()

    def _leave(self) -> None:
        self._replace_worker()
