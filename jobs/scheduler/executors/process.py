"""Run functions in child processes, which can always be stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ...calls.launch import Launcher
from ...calls.output import Output
from ...calls.parent import ChildProcess
from ...calls.runner import Activity
from ...calls.slot import Slot
from ...core.held import HeldRun
from ...core.runs import RunStatus
from .base import Hooks
from .thread import ThreadExecutor


class ProcessExecutor(ThreadExecutor):
    """A fixed number of slots, each with a child process of its own that is started at the slot's first run.

    Each slot is a thread that waits for its child: it enforces the timeout, and stops the child when the run is
    cancelled. When a child dies, its run fails, and the next run gets a new child.
    """

    def __init__(self, slots: int, hooks: Hooks, start_process: Callable[[], ChildProcess] | None = None) -> None:
        """Prepare `slots` slots.

        `start_process` starts a child process; the default can import the same modules as this process.
        """
        super().__init__(slots, hooks)
        self._start_process = start_process or partial(ChildProcess, Launcher.of_this_process())
        self._own = threading.local()
        self._busy: dict[int, Slot] = {}

    def cancel(self, run_id: int, reason: str) -> None:
        """Stop the child that runs `run_id`."""
        slot = self._busy.get(run_id)
        if slot is not None:
            slot.stop(run_id, RunStatus.CANCELLED, reason)

    def abandon(self) -> None:
        """End all children that are running a function, at once."""
        for run_id, slot in self._busy.copy().items():
            slot.stop(run_id, RunStatus.LOST, "its scheduler was ended at once", at_once=True)

    def _run(self, run: HeldRun) -> None:
        hooks = self.hooks
        if not hooks.may_start(run):
            return
        output, slot = Output(), self._slot()
        is_ready = slot.get_ready(output)
        # A process takes a while to start, and the lease may have ended meanwhile.
        if not hooks.may_start(run):
            if not is_ready:
                slot.replace()
            return
        activity = Activity(run, hooks.clock.now(), output)
        hooks.recorder.started(activity)
        slot.take(run.id)
        self._busy[run.id] = slot
        try:
            end = slot.call(run, activity, partial(hooks.may_call, run))
        finally:
            self._busy.pop(run.id, None)
        hooks.recorder.finished(activity.outcome(hooks.clock.now(), end))

    def _slot(self) -> Slot:
        """Return this thread's slot."""
        slot: Slot | None = getattr(self._own, "slot", None)
        if slot is None:
            slot = self._own.slot = Slot(self._start_process)
        return slot

    def _tidy_thread(self) -> None:
        self._slot().replace()
