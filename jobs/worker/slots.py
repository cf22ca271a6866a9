"""The slots of a Celery worker: threads, each with a process of its own that calls functions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from queue import SimpleQueue

from ..calls.launch import Launcher
from ..calls.output import Output
from ..calls.parent import GRACE_SECONDS, ChildProcess
from ..calls.runner import Activity
from ..calls.slot import Slot
from ..core.exceptions import InvalidFunction
from ..core.held import CallEnd, HeldRun
from ..core.runs import RunStatus
from ..functions import registry
from ..scheduler.events import Events
from ..scheduler.listeners import Listener, ListenerThread
from ..scheduler.store.clock import DatabaseClock
from ..scheduler.store.dispatch import Dispatch
from .ledger import Ledger
from .membership import Membership

logger = logging.getLogger("cronzimus.worker")

DRAIN_SECONDS = 30.0
"""Time that running runs have to end once the worker was told to stop."""
IDLE_CHECK_SECONDS = 0.1
"""Time between two checks whether they have ended."""
END_AT_ONCE_SECONDS = 2.0
"""Time that runs and threads have to end when the worker ends at once."""
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 1.0, 30.0
"""Time until a process that did not start is tried again: after the first failure, and at most."""
PROCESS_FAILED = {"action": "process_failed"}


class Slots:
    """A fixed number of slots. A run has a slot from its message on, so that none waits here.

    A slot is free while it has a process that is ready. While none starts, schedulers do not count the slot, and its
    worker takes no message for it: a worker that failed each run at once would draw the work of all others.

    The thread of a slot starts its process, which the kernel ends with that thread if this process is killed.
    """

    def __init__(
        self,
        name: str,
        queues: list[str],
        count: int,
        listeners: Sequence[Listener] = (),
        start_process: Callable[[], ChildProcess] | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare `count` slots for runs of `queues`; `name` is the name of this worker for people.

        `listeners` are called with the ends of its runs, and `on_failure` by the ledger's thread when it cannot go on,
        so that the worker has to end.
        """
        clock = DatabaseClock()
        self._listeners = ListenerThread(listeners)
        events = Events(self._listeners.put, lambda: bool(listeners))
        self.ledger = Ledger(
            clock,
            Membership(clock, name, queues, count),
            cancel=self._cancel,
            kill_runs=self.kill_runs,
            fail=on_failure,
            ended=events.finished,
        )
        self.on_free: Callable[[], None] = lambda: None
        """Called by a slot's thread when the slot is free again."""
        self._clock, self._name, self._count = clock, name, count
        self._start_process = start_process or partial(ChildProcess, Launcher.of_this_process())
        self._queue: SimpleQueue[Dispatch | None] = SimpleQueue()
        self._free = self._busy_count = self._broken = 0
        self._changed = threading.Condition()
        self._cold, self._are_warm = count, threading.Event()
        self._slot_of_run: dict[int, Slot] = {}
        self._is_draining, self._has_ended = threading.Event(), threading.Event()
        # Held while all runs are ended, and while one comes or goes.
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"slot-{n}", daemon=True) for n in range(1, count + 1)
        ]

    def start(self, is_told_to_stop: Callable[[], bool]) -> None:
        """Start all processes, and take a lease.

        Waits until the processes have loaded Django and the database answers, unless `is_told_to_stop`.
        """
        for thread in self._threads:
            thread.start()
        self._listeners.start()
        while not self._are_warm.wait(IDLE_CHECK_SECONDS) and not is_told_to_stop():
            pass
        self.ledger.start(is_told_to_stop)

    def serve(self, queues: Sequence[str]) -> None:
        """Have schedulers send runs of `queues`."""
        self.ledger.serve(queues)

    def offer(self, dispatch: Dispatch) -> bool:
        """Give the run of `dispatch` to a free slot; return whether there was one."""
        with self._changed:
            if not self.free:
                return False
            self._free -= 1
            self._busy_count += 1
        self._queue.put(dispatch)
        return True

    @property
    def free(self) -> int:
        """How many slots are free: none once the worker stops."""
        return 0 if self._is_draining.is_set() else self._free

    def stop(self, is_urgent: Callable[[], bool]) -> None:
        """Let running runs end for `DRAIN_SECONDS`, end the others as lost, and sign off.

        Once `is_urgent`, all of it happens at once.
        """
        self._take_no_more()
        self.ledger.drain()
        extra = {"action": "worker_draining"}
        logger.info("draining %d runs, for at most %d s", self._busy_count, DRAIN_SECONDS, extra=extra)
        if not self._wait_until_idle(DRAIN_SECONDS, is_urgent):
            if is_urgent():
                self.end_at_once()
                return
            self._lose_runs(f"its worker was stopped, and it did not end within {DRAIN_SECONDS:.0f} s")
            self._wait_until_idle(GRACE_SECONDS + END_AT_ONCE_SECONDS, lambda: False)
        self._sign_off("its worker was stopped")

    def end_at_once(self) -> None:
        """End all runs as lost, without a chance for their functions to tidy up, and sign off."""
        self._take_no_more()
        self._lose_runs("its worker was ended at once", at_once=True)
        self._wait_until_idle(END_AT_ONCE_SECONDS, lambda: False)
        self._sign_off("its worker was ended at once")

    def _take_no_more(self) -> None:
        with self._changed:
            self._is_draining.set()

    def kill_runs(self, reason: str, only: Collection[int] | None = None) -> None:
        """End all runs, or `only` these, at once, as lost for `reason`."""
        self._lose_runs(reason, at_once=True, only=only)

    def _sign_off(self, reason: str) -> None:
        if self._has_ended.is_set():
            return
        self._has_ended.set()
        self.ledger.close(reason)
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(END_AT_ONCE_SECONDS)
        self._listeners.stop()
        logger.info("stopped", extra={"action": "worker_stopped"})

    def _wait_until_idle(self, seconds: float, is_urgent: Callable[[], bool]) -> bool:
        """Wait until no slot has a run, for at most so many seconds; return whether that came about."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._busy_count and time.monotonic() < deadline and not is_urgent():
                self._changed.wait(IDLE_CHECK_SECONDS)
            return not self._busy_count

    def _cancel(self, run_id: int, reason: str) -> None:
        slot = self._slot_of_run.get(run_id)
        if slot is not None:
            slot.stop(run_id, RunStatus.CANCELLED, reason)

    def _lose_runs(self, reason: str, *, at_once: bool = False, only: Collection[int] | None = None) -> None:
        """End all runs, or `only` these, as lost."""
        with self._lock:
            for run_id, slot in self._slot_of_run.items():
                if only is None or run_id in only:
                    slot.stop(run_id, RunStatus.LOST, reason, at_once=at_once)

    # --- the threads -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        slot = Slot(self._start_process)
        is_ready = self._warm_up(slot)  # its first run need not wait for that
        with self._lock:
            self._cold -= 1
            if not self._cold:
                self._are_warm.set()
        while is_ready or self._wait_for_process(slot):
            dispatch = self._queue.get()
            if dispatch is None:
                break
            try:
                self._run(slot, dispatch)
            except Exception:
                extra = {"action": "executor_failed", "run": dispatch.run_id}
                logger.exception("run %d could not be executed", dispatch.run_id, extra=extra)
            finally:
                with self._changed:
                    self._busy_count -= 1
                    self._changed.notify_all()
            if self._is_draining.is_set():
                break  # another process would be started in vain
            is_ready = self._warm_up(slot)
        slot.replace()

    def _warm_up(self, slot: Slot) -> bool:
        """Offer the slot if it has a process, or gets one; otherwise count it as broken. Return whether it has one."""
        problem = self._offer(slot)
        if problem:
            level = logging.ERROR if self._count_broken(1) == 1 else logging.DEBUG  # the others have the same cause
            message, extra = "a process does not start; its slot takes no run until one does: %s", PROCESS_FAILED
            logger.log(level, message, problem, extra=extra)
        return not problem

    def _wait_for_process(self, slot: Slot) -> bool:
        """Try again and again to start a process; return whether one is ready: not if the worker is told to stop."""
        pause = FIRST_PAUSE_SECONDS
        while not self._is_draining.wait(pause):
            problem = self._offer(slot)
            if not problem:
                if not self._count_broken(-1):
                    logger.info("all processes start again", extra={"action": "process_recovered"})
                return True
            logger.debug("a process still does not start: %s", problem, extra=PROCESS_FAILED)
            pause = min(2 * pause, LAST_PAUSE_SECONDS)
        return False

    def _offer(self, slot: Slot) -> str:
        """Start a process in the slot unless it has one, and count the slot as free; return "", or why it is not."""
        output = Output()
        if not slot.get_ready(output):
            reason, said = slot.discard_process(output), output.stored().text.rstrip()
            # The last line of a traceback is the error; the log cuts long values.
            return f"{reason}: {said.splitlines()[-1]}\n{said}" if said else reason
        with self._changed:
            self._free += 1
        self.on_free()
        return ""

    def _count_broken(self, change: int) -> int:
        """Count a slot among those without a process, or no more; announce the others, and return the number."""
        with self._lock:
            self._broken += change
            self.ledger.set_ready(self._count - self._broken)
            return self._broken

    def _run(self, slot: Slot, dispatch: Dispatch) -> None:
        output = Output()
        if not slot.get_ready(output):  # its process may have ended since
            reason, extra = slot.discard_process(output), {"action": "run_sent_back", "run": dispatch.run_id}
            logger.warning(
                "run %d goes back to its queue: no process is ready: %s", dispatch.run_id, reason, extra=extra
            )
            self.ledger.send_back(dispatch)
            return
        run = self.ledger.start_run(dispatch)
        if run is None:
            message = "run %d does not start here: it has started or ended, or is to be cancelled"
            logger.debug(message, dispatch.run_id, extra={"action": "dispatch_void", "run": dispatch.run_id})
            return
        activity = Activity(run, self._clock.now(), output)
        self.ledger.recorder.resumed(activity)
        try:
            end = self._call(slot, run, activity)
            outcome = activity.outcome(self._clock.now(), end)
        except Exception as error:
            end = CallEnd(RunStatus.FAILED, error=f"its worker could not run it: {error}")
            outcome = activity.outcome(self._clock.now(), end)
        self.ledger.recorder.finished(outcome)

    def _call(self, slot: Slot, run: HeldRun, activity: Activity) -> CallEnd:
        try:
            registry.lookup(run.func)
        except InvalidFunction:
            return CallEnd(RunStatus.FAILED, error=f"worker {self._name} does not have {run.func}")
        slot.take(run.id)
        with self._lock:
            self._slot_of_run[run.id] = slot
        try:
            return slot.call(run, activity, partial(self.ledger.may_call, run))
        finally:
            with self._lock:
                self._slot_of_run.pop(run.id, None)
