"""A slot for one run at a time, with a worker process that is kept between runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ..core.runs import RunStatus
from ..functions.secrets import UnknownSecret
from ..scheduler.store.held import HeldRun
from .output import Output
from .parent import NotCalled, Stopped, Worker, WorkerDied
from .runner import Activity

RUNS_PER_WORKER = 1000
"""Runs after which a worker is replaced, so that leaks of functions do not add up."""
TRIES = 3
"""Processes that a run gets, at most: as long as each ends before it calls the function."""
TOO_LATE = "its lease ended before its function was called"
"""The reason for which a run is lost that may not be called any more."""


class Slot:
    """Runs functions in a worker process, one after the other. One thread owns it; others may stop its run.

    When the process dies, its run fails, and the next run gets a new process. So does a run whose function was not
    called yet: the process may have been told to end while it had no run.
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
        problem: Exception | None = None
        for _ in range(TRIES):
            try:
                self._replace_ended()
                if self._worker is None:
                    self._worker = self._start_worker()
                    self._worker.get_ready(output)
                return None
            except NotCalled as error:
                problem = error
            except Exception as error:
                return error
        return problem

    def why_not_ready(self, problem: Exception, output: Output) -> str:
        """Return in words why there is no process, after `get_ready`, and end what is left of it."""
        reason = str(problem) or repr(problem)
        if isinstance(problem, NotCalled) and self._worker is not None:
            self._worker.kill(output)
            reason = self._worker.how_it_ended()
        self.replace()
        return reason

    def _replace_ended(self) -> None:
        if self._worker is not None and not self._worker.takes_runs:  # an earlier run left a cause of its end behind
            self.replace()

    def take(self, run_id: int) -> None:
        """Make `run_id` the next run, which can be stopped from now on."""
        with self._lock:
            self._run_id, self._stopped = run_id, None

    def call(
        self, run: HeldRun, activity: Activity, problem: Exception | None, may_call: Callable[[], bool]
    ) -> dict[str, Any]:
        """Call the function of the run that it took; return its end, as fields of an `Outcome`. Never raises.

        `problem` is the error of `get_ready`, with which the run fails; None if a process is ready. Where `may_call` is
        false right before a call, the run is lost instead: the start of a process takes a while.
        """
        ended: dict[str, Any]
        try:
            ended = self._call(run, activity, problem, may_call)
        except UnknownSecret as error:
            ended = {"status": RunStatus.FAILED, "error": str(error), "traceback": ""}
        except Stopped as stopped:
            ended = {"status": stopped.status, "reason": stopped.reason}
        except WorkerDied as death:
            ended = self._died(activity, death)
        except Exception as error:
            ended = {"status": RunStatus.FAILED, "error": f"no process could run it: {error}"}
        if "traceback" not in ended or (self._worker and self._worker.runs >= RUNS_PER_WORKER):
            self.replace()  # it ended, or has had many runs
        return ended

    def _call(
        self, run: HeldRun, activity: Activity, problem: Exception | None, may_call: Callable[[], bool]
    ) -> dict[str, Any]:
        for left in reversed(range(TRIES)):
            if problem is not None or self._worker is None:
                raise problem or RuntimeError("there is no process")
            if not may_call():
                raise Stopped(RunStatus.LOST, TOO_LATE)
            with self._lock:
                if self._stopped is not None:
                    raise self._stopped
                self._running = self._worker
            try:
                return self._worker.call(run, activity)
            except NotCalled:
                if not left:
                    raise
            finally:
                with self._lock:
                    self._running = None
            self.replace()
            problem = self.get_ready(activity.output)
        raise AssertionError("the last try returns or raises")

    def _died(self, activity: Activity, death: WorkerDied) -> dict[str, Any]:
        assert self._worker is not None  # noqa: S101 (it has died)
        self._worker.kill(activity.output)
        if self._stopped is not None:  # at once
            return {"status": self._stopped.status, "reason": self._stopped.reason}
        before = " before it called the function" if isinstance(death, NotCalled) else ""
        return {"status": RunStatus.FAILED, "error": f"{self._worker.how_it_ended()}{before}"}

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
        """End the process that is running a function, at once, because its scheduler ends."""
        with self._lock:
            self._stopped = Stopped(RunStatus.LOST, "its scheduler was ended at once")  # no other process may call it
            if self._running is not None:
                self._running.end_at_once()

    def replace(self) -> None:
        """End the process; the next run starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
