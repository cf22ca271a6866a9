"""The scheduler: an APScheduler scheduler whose loop claims, hands out and records many runs at a time."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from math import inf

from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.base import STATE_RUNNING, STATE_STOPPED, BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from django.conf import settings
from django.db import Error, connection

from ..core.retries import Backoff
from ..db.errors import is_unavailable
from .background import Background, background_tasks
from .batches import FLUSH_SECONDS
from .events import Events
from .executors import ExecutorFactory
from .jobstore import JobStore
from .store.clock import DatabaseClock
from .store.connection import DatabaseReplaced, loop_connection
from .store.work import has_work_in_reach, pending_work
from .threads import start_all
from .tick import Tick
from .wakeup import Bell, Watcher

logger = logging.getLogger("cronzimus.scheduler.scheduler")

GAP_SECONDS = 0.002
"""Least time between two ticks of a loop that keeps up, so that changes in between are handled together."""
DRAIN_SECONDS = 30.0
"""Time that running runs have to end once the scheduler was told to stop."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 5.0
"""Time until a failed tick is tried again: after the first failure, and at most."""


class Scheduler(BlockingScheduler):
    """One of the schedulers on a database: it takes its lease, ticks until it is told to stop, and signs off."""

    def __init__(self, make_executors: ExecutorFactory, clock: DatabaseClock | None = None) -> None:
        """Prepare a scheduler with the executors that `make_executors` makes; see `executors.local_executors`."""
        self.clock = clock or DatabaseClock()
        self._event = Bell()
        events = Events(self._dispatch_event, lambda: bool(self._listeners))
        self.tick = Tick(self.clock, make_executors, events, self._event, self._may_claim)
        self._backoff = Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS)
        self._draining = self._forced = False
        self._drain_until = inf
        self._lost_at_end = 0
        super().__init__(
            timezone=settings.TIME_ZONE,
            executors=self.tick.executors.by_name,
            jobstores={"default": JobStore()},
        )

    # --- its life ----------------------------------------------------------------------------------------------------

    def start(self, paused: bool = False) -> None:
        """Run until `drain` or `force` ends it. Return when every outcome is stored, or given up.

        Raises `TooFewThreads` and `DatabaseReplaced`.
        """
        with loop_connection():
            watcher = Watcher(self.wakeup)
            background = Background(self.clock, background_tasks(self.clock))
            start_all([watcher, background])
            self.open(paused=paused)
            try:
                self._main_loop()
            finally:
                background.stop()
                self._close()
                watcher.stop()

    def run_once(self) -> None:
        """Claim and run everything that is due now, and return when its outcomes are stored.

        Raises `TooFewThreads` and `DatabaseReplaced`.
        """
        with loop_connection():
            self.open()
            horizon = self.clock.now()
            try:
                while not self._should_end() and self._work_left(horizon):
                    wait = self._process_jobs()
                    self._event.wait(wait if self._backoff.failures else min(wait, FLUSH_SECONDS))
                    self._event.clear()
            finally:
                self._close()

    def open(self, paused: bool = False) -> None:
        """Take a lease, and start the executors. With `paused`, claim nothing until `resume`.

        Wait for a database that is gone, or that another process has locked, until `drain` or `force`. Raises
        `TooFewThreads`.
        """
        # The executors first: if they cannot start, no row of a dead scheduler is left.
        BaseScheduler.start(self, paused=paused)
        while not self._try_to_join() and not self._draining:
            self._event.clear()

    def drain(self) -> None:
        """Claim nothing more, let running runs end, and stop. Safe to call from a signal handler."""
        self._draining = True
        self.wakeup()

    def force(self) -> None:
        """Stop at once; running runs are lost. Safe to call from a signal handler."""
        self._draining = self._forced = True
        self.wakeup()

    def shutdown(self, wait: bool = True) -> None:
        """Stop as APScheduler's callers expect: `drain`, or `force` without `wait`."""
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        if wait:
            self.drain()
        else:
            self.force()

    def wakeup(self) -> None:
        """Make the loop look at the database at once."""
        self.tick.wake_up()

    @property
    def unfinished(self) -> int:
        """The number of runs that were lost at the end, or are still running."""
        return max(self._lost_at_end, self.tick.executors.taken)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def _main_loop(self) -> None:
        look_at = 0.0
        while self.state != STATE_STOPPED and not self._should_end():
            # While the database fails, starts and outcomes have to wait as well.
            due = look_at if self._backoff.failures else min(look_at, self.tick.write_at)
            self._event.wait(max(due - self.clock.monotonic(), 0.0))
            if self._backoff.failures and not self._draining and self.clock.monotonic() < due:
                self._event.clear()  # woken before the end of its wait
                continue
            if self.tick.woken and not self.tick.starved:
                time.sleep(max(0.0, self.tick.began_at + GAP_SECONDS - self.clock.monotonic()))
            self._event.clear()
            if self.tick.woken or self.clock.monotonic() >= due:
                self.tick.woken = False
                wait = self._process_jobs()
                look_at = self.clock.monotonic() + wait

    def _process_jobs(self) -> float:
        """Tick; return the seconds until the next tick, if nothing wakes the loop.

        Raises only `DatabaseReplaced`.
        """
        try:
            wait = self.tick.run()
        except DatabaseReplaced:
            raise
        except Exception as error:
            self.tick.clean_up_after(error)
            return self._wait_after(error)
        self._note_success()
        return wait

    def _wait_after(self, error: Exception) -> float:
        """Note a tick that failed; return the seconds until the next one."""
        wait = self._backoff.failed(self.clock.monotonic())
        is_first = self._backoff.failures == 1
        level, extra = logging.ERROR if is_first else logging.WARNING, {"action": "tick_failed"}
        logger.log(level, "%s; trying again in %.1f s", error, wait, exc_info=is_first, extra=extra)
        return wait

    def _note_success(self) -> None:
        failures = self._backoff.failures
        if self._backoff.succeeded():
            logger.info("recovered after %d failures", failures, extra={"action": "tick_recovered"})

    def _may_claim(self) -> bool:
        return self.state == STATE_RUNNING and not self._draining

    def _try_to_join(self) -> bool:
        try:
            self.tick.join()
        except Error as error:
            connection.close()
            if not is_unavailable(error):
                raise
            self._event.wait(self._wait_after(error))
            return False
        self._note_success()
        extra = {"action": "scheduler_ready"}
        logger.info("ready; its id is %s", self.tick.lease.scheduler_id, extra=extra)
        return True

    def _work_left(self, horizon: datetime) -> bool:
        if self.tick.at_work or self._backoff.failures:
            return True
        try:
            pending, now = pending_work(self.tick.lease.scheduler_id), self.clock.now()
            if self._draining or pending.paused:
                return False
            # `now` and not `horizon`: a run that this call claimed without a free slot waits since its claim, which is
            # later.
            is_left = pending.is_due(horizon) or pending.is_waiting(now)
            return is_left and has_work_in_reach(horizon, now, self.tick.executors.lanes())
        except Error:
            return True  # the next tick fails as well, and waits

    # --- its end -----------------------------------------------------------------------------------------------------

    def _should_end(self) -> bool:
        """Tell whether it was told to end, and has nothing left to wait for. Begins the drain with the first call."""
        if not self._draining or self._forced:
            return self._forced
        if self._drain_until == inf:
            self._begin_drain()
        return not self.tick.at_work or self.clock.monotonic() >= self._drain_until

    def _begin_drain(self) -> None:
        self._drain_until = self.clock.monotonic() + DRAIN_SECONDS
        self.tick.take_back()
        self.wakeup()
        extra = {"action": "scheduler_draining"}
        logger.info("draining %d runs, for at most %d s", self.tick.executors.taken, DRAIN_SECONDS, extra=extra)

    def _close(self) -> None:
        """Give up the runs that have not ended, sign off, and stop the executors."""
        self.tick.take_back()
        if self.tick.lease.scheduler_id:
            self._sign_off()
        self.tick.executors.abandon()
        BlockingScheduler.shutdown(self, wait=False)

    def _sign_off(self) -> None:
        how = "ended at once" if self._forced else f"stopped, and it did not end within {DRAIN_SECONDS:.0f} s"
        try:
            self._lost_at_end = self.tick.leave(f"its scheduler was {how}")
        except Exception as error:
            # Other schedulers see the lease end, and mark the runs that are left as lost.
            unsaved = self.tick.unsaved
            self._lost_at_end = max(self._lost_at_end, unsaved)
            what = f"{unsaved} runs are lost when its lease ends" if unsaved else "nothing is lost"
            level = logging.ERROR if unsaved else logging.WARNING
            extra = {"action": "scheduler_sign_off_failed"}
            logger.log(level, "could not sign off: %s; %s", error, what, exc_info=bool(unsaved), extra=extra)
