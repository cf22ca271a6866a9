"""The database work of a Celery worker: starts, live output, outcomes, its heartbeat. One thread, one connection.

It is to a worker as the tick to a scheduler: it writes in batches, and the slots hold no connection of their own.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from math import inf

from django.db import connection, reset_queries

from ..core.durations import AHEAD_SECONDS, MAX_AHEAD, MeanDuration, RecentEnds
from ..core.held import HeldRun, Outcome
from ..core.retries import Backoff
from ..db.errors import one_line
from ..models import announce
from ..scheduler.batches import FLUSH_SECONDS, Batches
from ..scheduler.incidents import IncidentWatch
from ..scheduler.recorder import Recorder
from ..scheduler.store import recovery
from ..scheduler.store.clock import DatabaseClock
from ..scheduler.store.connection import DatabaseReplaced, loop_connection, require_current_file
from ..scheduler.store.dispatch import Dispatch, send_again
from ..scheduler.store.refusals import write_all_live
from ..scheduler.store.starts import runs_of
from ..scheduler.store.work import cancel_requests
from .membership import Membership
from .starts import StartQueue

logger = logging.getLogger("cronzimus.worker")

SHOW_SECONDS = 1.0
"""Time between two writes of the output of running runs, and between two searches for runs to cancel."""
AHEAD_OF_ONE = 8
"""Runs that the worker wants in its queues, at most, for each run that ended in the last second. With few runs it needs
none ahead: the next ones may be long, and would wait behind each other where neither priorities nor a pause reach them.
Those of the first moment of a burst are enough for the rest of it."""
MIN_BEAT_SECONDS = 0.5
"""Seconds from one heartbeat to an early one, which is due when the worker wants far more or far fewer runs there."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 2.0
"""Time until a database that fails is tried again: after the first failure, and at most."""
LAST_SECONDS = 10.0
"""Time for the last writes when the worker ends."""
LEASE_OVER = "its worker could not renew its lease"
"""The reason for which a worker's runs are lost if it cannot reach the database in time."""


class Ledger:
    """Writes the starts and ends of the slots' runs, and passes requests to cancel on to the slots.

    While the database is away, everything is kept, and written when it is back. If the worker's lease ends meanwhile,
    every run is killed, because others may have given it up, and the worker joins again under a new id.
    """

    def __init__(
        self,
        clock: DatabaseClock,
        membership: Membership,
        *,
        cancel: Callable[[int, str], None],
        kill_runs: Callable[[str, Collection[int] | None], None],
        fail: Callable[[], None],
        ended: Callable[[Outcome], None],
    ) -> None:
        """Write for the worker of `membership`.

        `cancel` ends a run for a reason; `kill_runs` ends all runs, or only some, at once, as lost for a reason;
        `fail` ends the worker, which can do nothing without its ledger; `ended` gets each outcome once it is written.
        """
        self.clock, self.membership = clock, membership
        self.recorder = Recorder(lambda ended: self._bell.set())
        self._cancel, self._kill_runs, self._fail, self._on_ended = cancel, kill_runs, fail, ended
        self._bell, self._joined, self._closing = threading.Event(), threading.Event(), threading.Event()
        self._starts = StartQueue(clock, membership)
        self._sent_back: deque[Dispatch] = deque()
        self._own: set[int] = set()
        """The runs that it has started and whose end is not written."""
        self._incidents, self._durations, self._ends = IncidentWatch(), MeanDuration(), RecentEnds()
        self._batches = Batches(clock, self.recorder, self._incidents)
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._has_ended = False
        self._show_at = 0.0
        self._write_at = self._close_by = inf
        self._reason = ""
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._lease_thread = threading.Thread(target=self._watch, name="lease-watch", daemon=True)

    # --- for other threads -------------------------------------------------------------------------------------------

    def start(self, is_told_to_stop: Callable[[], bool]) -> None:
        """Start the thread, and return once the worker has a lease, or `is_told_to_stop`."""
        self._thread.start()
        self._lease_thread.start()
        while not self._joined.wait(0.5) and not is_told_to_stop():
            pass

    def start_run(self, dispatch: Dispatch) -> HeldRun | None:
        """Start the run of `dispatch`; None if it has started or ended already, is to be cancelled, or the worker ends.

        The start is written when this returns.
        """
        request = self._starts.put(dispatch)
        self._bell.set()
        # Looked at after the request was put, so that it is answered if the thread ends between the two.
        return None if self._has_ended else request.answer.get()

    def may_call(self, run: HeldRun) -> bool:
        """Tell whether the function of `run` may be called: the lease under which it was started is still held.

        If this process was frozen since, others may have given the run up.
        """
        return self.membership.held and run.scheduler_id == self.membership.worker_id

    def close(self, reason: str) -> None:
        """Write all outcomes, mark the running runs as lost for `reason`, and sign off."""
        self._reason, self._close_by = reason, self.clock.monotonic() + LAST_SECONDS
        self._closing.set()
        self._bell.set()
        self._thread.join(LAST_SECONDS + 5.0)

    def serve(self, queues: Sequence[str]) -> None:
        """Announce with the next step that this worker serves `queues`."""
        self.membership.queues = list(queues)
        self._beat_soon()

    def drain(self) -> None:
        """Announce with the next step that this worker takes no more runs."""
        self.membership.is_draining = True
        self._beat_soon()

    def set_ready(self, slots: int) -> None:
        """Announce with the next step that so many slots have a process. A worker that drains still takes no runs."""
        self.membership.ready = slots
        self._beat_soon()

    def _beat_soon(self) -> None:
        self.membership.due = 0.0
        self._bell.set()

    def send_back(self, dispatch: Dispatch) -> None:
        """Have the run of `dispatch`, which this worker did not ask to start, sent again to its queue."""
        self._sent_back.append(dispatch)
        self._bell.set()

    # --- the thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with loop_connection():
                while not self._closing.is_set():
                    self._bell.wait(self._wait_seconds())
                    self._bell.clear()
                    self._step_safely()
                self._leave()
        except Exception as error:
            is_known = isinstance(error, DatabaseReplaced)
            logger.critical("the worker ends: %s", error, exc_info=not is_known, extra={"action": "worker_failed"})
            self._fail()
        self._has_ended = True
        self._kill_all()

    def _wait_seconds(self) -> float:
        if self._backoff.failures:
            due = self._backoff.retry_at
        else:
            due = min(self.membership.due, self._write_at, self._starts.due, self._show_at if self._own else inf)
        return max(0.0, due - self.clock.monotonic())

    def _step_safely(self) -> None:
        """Take a step; after errors of the database, wait longer and longer. Raises `DatabaseReplaced`."""
        if self.membership.worker_id and not self.membership.held:
            self._kill_all()
        if self.clock.monotonic() < self._backoff.retry_at:
            return
        try:
            self.step()
        except Exception as error:
            self._backoff.failed(self.clock.monotonic())
            require_current_file()
            connection.close()
            level = logging.ERROR if self._backoff.failures == 1 else logging.DEBUG
            message = "the worker waits for the database: %s"
            logger.log(level, message, one_line(error), extra={"action": "worker_step_failed"})
        else:
            if self._backoff.succeeded():
                logger.info("the worker goes on", extra={"action": "worker_step_recovered"})

    def _watch(self) -> None:
        """End all runs when the lease is over: the ledger's own thread may be waiting for a silent database then."""
        told = ""
        while not self._closing.wait(self._watch_seconds()):
            worker_id = self.membership.worker_id
            if not worker_id or self.membership.held:
                continue
            if told != worker_id:
                told, since = worker_id, self.clock.monotonic() - self.membership.beat_at
                message = "the lease of %s is over: its last heartbeat was %.0f s ago; all its runs are ended"
                logger.error(message, worker_id, since, extra={"action": "worker_lease_over"})
            self._kill_runs(LEASE_OVER, None)

    def _watch_seconds(self) -> float:
        return self.membership.until - self.clock.monotonic() if self.membership.held else SHOW_SECONDS

    def step(self) -> None:
        """Join, or write a heartbeat if one is due; start the requested runs; write outcomes and live output.

        Raises the errors of the database; then nothing is forgotten.
        """
        reset_queries()
        if not self.membership.held:
            self._rejoin()
        elif self.clock.monotonic() >= self.membership.due or self._wants_another_number():
            self._beat()
        self._starts.start(self._own)
        self._send_back()
        if self.recorder.has_new or (self.recorder.dirty and self._write_at == inf):
            # Starts wait while outcomes are written: few large writes keep them waiting less than many small ones.
            self._write_at = min(self._write_at, self.clock.monotonic() + FLUSH_SECONDS)
        if self.clock.monotonic() >= self._write_at:
            self._write(self.membership.worker_id)
        if self._own and self.clock.monotonic() >= self._show_at:
            self._show_at = self.clock.monotonic() + SHOW_SECONDS
            self._show()

    def _rejoin(self) -> None:
        """Write the outcomes of the old lease, except for runs that others have given up, and take a new lease."""
        self.clock.synchronise()
        if self.membership.worker_id:
            if self.recorder.dirty:
                self._write(self.membership.worker_id)
            logger.error("the lease of %s was over", self.membership.worker_id, extra={"action": "worker_lease_lost"})
            self._sign_off(LEASE_OVER)
        self.membership.join()
        self._incidents.refresh(self.clock.now())
        self._joined.set()
        extra = {"action": "worker_ready"}
        logger.info("ready; its id is %s", self.membership.worker_id, extra=extra)

    def _beat(self) -> None:
        require_current_file()
        self.clock.synchronise()
        if not self.membership.renew(running=self.recorder.running, ahead=self._ahead()):
            self._kill_all()
            self._rejoin()
        self._compare_with_database()
        self._incidents.refresh(self.clock.now())

    def _compare_with_database(self) -> None:
        """Mark runs that only the database has as lost: they ended here before. Kill runs that only this worker has."""
        held = runs_of(self.membership.worker_id)
        if only_here := self._own - held:  # others have given them up, and perhaps started them again elsewhere
            self._kill_runs(recovery.ENDED_BY_OTHERS, only_here)
        if only := sorted(held - self._own - self._starts.pending_runs):
            recovery.lose(
                [self.membership.worker_id], recovery.FORGOTTEN, self.clock.now(), only=only, skip_locked=True
            )

    def _ahead(self) -> int:
        slots, at = self.membership.slots, self.clock.monotonic()
        probably = self._durations.ends_within(AHEAD_SECONDS, slots=slots, at=at, busy=False)
        return min(probably, AHEAD_OF_ONE * self._ends.count(at), MAX_AHEAD)

    def _wants_another_number(self) -> bool:
        """Tell whether the schedulers' number of runs ahead is far off, and may be corrected before the next beat."""
        if self.clock.monotonic() < self.membership.beat_at + MIN_BEAT_SECONDS:
            return False
        known, wanted, slots = self.membership.ahead, self._ahead(), self.membership.slots
        return not known // 2 - slots <= wanted <= 2 * known + slots

    def _send_back(self) -> None:
        while self._sent_back:
            send_again(self._sent_back[0], self.clock.now())
            self._sent_back.popleft()

    def _write(self, worker_id: str) -> None:
        with self._batches.writing(worker_id, self.clock.now()) as stored:
            announce()  # the schedulers may send more
        self._write_at = self._batches.retry_at
        self._own -= stored.ended
        self._measure(stored.outcomes)
        for outcome in stored.outcomes:
            self._on_ended(outcome)

    def _measure(self, written: Sequence[Outcome]) -> None:
        took = [(one.finished_at - one.started_at).total_seconds() for one in written if one.started_at is not None]
        at = self.clock.monotonic()
        self._durations.add(took, at)
        self._ends.add(len(took), at)

    def _show(self) -> None:
        worker_id = self.membership.worker_id
        updates = self.recorder.live_updates()
        self.recorder.shown(write_all_live(updates, worker_id))
        for run_id, _, reason in cancel_requests(worker_id):
            self._cancel(run_id, reason)

    # --- the end of a lease ------------------------------------------------------------------------------------------

    def _kill_all(self) -> None:
        self._kill_runs(LEASE_OVER, None)
        self._starts.refuse_all()

    def _sign_off(self, reason: str) -> None:
        recovery.lose_own(self.membership.worker_id, reason, self.clock.now())
        self.membership.leave()
        self._own.clear()

    def _leave(self) -> None:
        """Write what is left and sign off, again and again until that succeeds or the time is over."""
        while True:
            is_last_try = self.clock.monotonic() >= self._close_by
            try:
                self._send_back()
                if not self.membership.worker_id:
                    return
                if self.recorder.dirty:
                    self._write(self.membership.worker_id)
                if is_last_try or not self.recorder.dirty:  # what is still dirty, somebody has locked
                    self._sign_off(self._reason)
                    return
            except Exception as error:
                connection.close()
                if is_last_try:
                    message = "the worker could not sign off: %s; what is left is lost when its lease ends"
                    logger.error(message, one_line(error), extra={"action": "worker_sign_off_failed"})
                    return
            threading.Event().wait(FIRST_RETRY_SECONDS)  # not time.sleep: the simulation replaces `threading`
