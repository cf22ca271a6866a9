"""A slot for one run at a time, with a child process that is kept between runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..core.held import CallEnd, HeldRun
from ..core.runs import RunStatus
from ..functions.secrets import UnknownSecret
from .output import Output
from .parent import ChildDied, ChildProcess, NotCalled, Stopped
from .runner import Activity

RUNS_PER_PROCESS = 1000
"""Runs after which a child is replaced, so that leaks of functions do not add up."""
TRIES = 3
"""Starts of a process in a row, and calls of a run, at most, while each process ends before it calls the function."""
TOO_LATE = "its lease ended before its function was called"
"""The reason for which a run is lost that may not be called any more."""


class Slot:
    """Runs functions in a child process, one after the other. One thread owns it; others may stop its run.

    When the process dies, its run fails, and the next run gets a new process. So does a run whose function was not
    called yet: the process may have been told to end while it had no run.
    """

    def __init__(self, start_process: Callable[[], ChildProcess]) -> None:
        """Start without a process; `start_process` starts one."""
        self._start_process = start_process
        self._process: ChildProcess | None = None
        self._calling: ChildProcess | None = None
        self._problem: Exception | None = None
        self._run_id = 0
        self._stopped: Stopped | None = None
        # Held while a process is stopped, and while its run is removed, so that no other run is stopped.
        self._lock = threading.Lock()

    def get_ready(self, output: Output) -> bool:
        """Wait for a process that has loaded Django, with its output in `output`; return whether there is one.

        If not, `call` fails the next run, unless `discard_process` is called.
        """
        for _ in range(TRIES):
            self._problem = self._start(output)
            if not isinstance(self._problem, NotCalled):
                break
        return self._problem is None

    def _start(self, output: Output) -> Exception | None:
        try:
            self._replace_ended()
            if self._process is None:
                self._process = self._start_process()
                self._process.get_ready(output)
        except Exception as error:
            return error
        return None

    def discard_process(self, output: Output) -> str:
        """End what is left of a process that did not get ready; return in words why it did not."""
        problem, reason = self._problem, str(self._problem) or repr(self._problem)
        if isinstance(problem, NotCalled) and self._process is not None:
            self._process.kill(output)
            reason = self._process.how_it_ended()
        self.replace()
        return reason

    def _replace_ended(self) -> None:
        if self._process is not None and not self._process.takes_runs:  # an earlier run left a cause of its end behind
            self.replace()

    def take(self, run_id: int) -> None:
        """Make `run_id` the next run, which can be stopped from now on."""
        with self._lock:
            self._run_id, self._stopped = run_id, None

    def call(self, run: HeldRun, activity: Activity, may_call: Callable[[], bool]) -> CallEnd:
        """Call the function of the run that it took, and return how it ended. Never raises.

        The run fails if no process got ready. Where `may_call` is false right before a call, the run is lost instead:
        the start of a process takes a while.
        """
        process_is_kept = False
        try:
            end = self._call(run, activity, may_call)
            process_is_kept = True
        except UnknownSecret as error:
            end = CallEnd(RunStatus.FAILED, error=str(error))
            process_is_kept = True
        except Stopped as stopped:
            end = CallEnd(stopped.status, stopped.reason)
        except ChildDied as death:
            end = self._died(activity, death)
        except Exception as error:
            end = CallEnd(RunStatus.FAILED, error=f"no process could run it: {error}")
        if not process_is_kept or (self._process and self._process.runs >= RUNS_PER_PROCESS):
            self.replace()
        return end

    def _call(self, run: HeldRun, activity: Activity, may_call: Callable[[], bool]) -> CallEnd:
        for left in reversed(range(TRIES)):
            if self._problem is not None or self._process is None:
                raise self._problem or RuntimeError("there is no process")
            if not may_call():
                raise Stopped(RunStatus.LOST, TOO_LATE)
            with self._lock:
                if self._stopped is not None:
                    raise self._stopped
                self._calling = self._process
            try:
                return self._process.call(run, activity)
            except NotCalled:
                if not left:
                    raise
            finally:
                with self._lock:
                    self._calling = None
            self.replace()
            self.get_ready(activity.output)
        raise AssertionError("the last try returns or raises")

    def _died(self, activity: Activity, death: ChildDied) -> CallEnd:
        assert self._process is not None  # noqa: S101 (it has died)
        self._process.kill(activity.output)
        if self._stopped is not None:  # at once
            return CallEnd(self._stopped.status, self._stopped.reason)
        before = " before it called the function" if isinstance(death, NotCalled) else ""
        return CallEnd(RunStatus.FAILED, error=f"{self._process.how_it_ended()}{before}")

    def stop(self, run_id: int, status: RunStatus, reason: str, *, at_once: bool = False) -> None:
        """End the run `run_id` if it is here. With `at_once` its function cannot tidy up."""
        with self._lock:
            if self._run_id != run_id:
                return
            self._stopped = Stopped(status, reason)
            if self._calling is not None:
                self._calling.stop(run_id, status, reason)
                if at_once:
                    self._calling.end_at_once()

    def replace(self) -> None:
        """End the process; the next run starts another."""
        if self._process is not None:
            self._process.close()
            self._process = None
