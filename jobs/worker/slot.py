"""A slot for one run at a time, with a worker process that is kept between runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..core.runs import RunStatus
from ..functions.secrets import UnknownSecret
from ..scheduler.store.held import HeldRun
from .output import Output
from .parent import Stopped, Worker, WorkerDied
from .runner import Activity

RUNS_PER_WORKER = 1000
"""Runs after which a worker is replaced, so that leaks of functions do not add up."""


class Slot:
    """Runs functions in a worker process, one after the other. One thread owns it; others may stop its run.

    When the process dies, its run fails, and the next run gets a new process.
    """

    def __init__(self, start_worker: Callable[[], Worker]) -> None:
        """Start without a process; `start_worker` starts one."""
        self._start_worker = start_worker
        self._worker: Worker | None = None
        self._running: Worker | None = None
        self._run_id = 0
        self._stopped: Stopped | None = None
        # Held while a process is stopped, and while its run is removed, so that no other run is stopped.
        self._lock = threading.Lock()

    def get_ready(self, output: Output) -> Exception | None:
        """Wait for a process that has loaded Django, with its output in `output`; return the error if there is none."""
        try:
            if self._worker is None or not self._worker.alive:  # an earlier run left a cause of its end behind
                self.replace()
                self._worker = self._start_worker()
                self._worker.get_ready(output)
        except Exception as error:
            return error
        return None

    def take(self, run_id: int) -> None:
        """Make `run_id` the next run, which can be stopped from now on."""
        with self._lock:
            self._run_id, self._stopped = run_id, None

    def call(self, run: HeldRun, activity: Activity, problem: Exception | None) -> dict[str, Any]:
        """Call the function of the run that it took; return its end, as fields of an `Outcome`. Never raises.

        `problem` is the error of `get_ready`, with which the run fails; None if a process is ready.
        """
        ended: dict[str, Any]
        try:
            if problem is not None or self._worker is None:
                raise problem or RuntimeError("there is no process")
            with self._lock:
                if self._stopped is not None:
                    raise self._stopped
                self._running = self._worker
            ended = self._worker.call(run, activity)
        except UnknownSecret as error:
            ended = {"status": RunStatus.FAILED, "error": str(error), "traceback": ""}
        except Stopped as stopped:
            ended = {"status": stopped.status, "reason": stopped.reason}
        except WorkerDied:
            ended = self._died(activity)
        except Exception as error:
            ended = {"status": RunStatus.FAILED, "error": f"no process could run it: {error}"}
        finally:
            with self._lock:
                self._running = None
        if "traceback" not in ended or (self._worker and self._worker.runs >= RUNS_PER_WORKER):
            self.replace()  # it ended, or has had many runs
        return ended

    def _died(self, activity: Activity) -> dict[str, Any]:
        assert self._worker is not None  # noqa: S101 (it has died)
        self._worker.kill(activity.output)
        if self._stopped is not None:  # at once
            return {"status": self._stopped.status, "reason": self._stopped.reason}
        return {"status": RunStatus.FAILED, "error": self._worker.how_it_ended()}

    def stop(self, run_id: int, status: RunStatus, reason: str, *, at_once: bool = False) -> None:
        """End the run `run_id` if it is here. With `at_once` its function cannot tidy up."""
        with self._lock:
            if self._run_id != run_id:
                return
            self._stopped = Stopped(status, reason)
            if self._running is not None:
                self._running.stop(run_id, status, reason)
                if at_once:
                    self._running.end_at_once()

    def end_at_once(self) -> None:
        """End the process that is running a function, at once."""
        with self._lock:
            if self._running is not None:
                self._running.end_at_once()

    def replace(self) -> None:
        """End the process; the next run starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
