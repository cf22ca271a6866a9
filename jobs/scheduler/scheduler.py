"""The loop: an APScheduler scheduler that claims, hands out and records, in one thread and many runs at a time."""

from __future__ import annotations

import logging
import time
from datetime import datetime

from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.base import STATE_STOPPED, BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from django.db import OperationalError, connection

from . import recovery
from .store import admission
from .store.connection import tuned_for_the_loop
from .tick import FLUSH, TickingScheduler
from .wakeup import Watcher

logger = logging.getLogger("cronzimus.scheduler.scheduler")

GAP = 0.002
"""Seconds between two looks of a loop that keeps up: what happens in between is handled together."""
DRAIN = 30.0
"""Seconds that running runs have to end, once the scheduler was told to stop."""


class Scheduler(TickingScheduler):
    """One of the schedulers on a database: its life, from its place among the others to its end."""

    _forced = False
    _drain_until = float("inf")
    _given_up = 0

    def start(self, paused: bool = False) -> None:
        """Run until `drain` or `force` ends it. Returns when every outcome is on record, or given up."""
        connection.close()
        with tuned_for_the_loop():
            self.open(paused=paused)
            watcher = Watcher(self.wakeup)
            watcher.start()
            try:
                self._main_loop()
            finally:
                self._close()
                watcher.stop()

    def run_once(self) -> None:
        """Claim and run all that is due now, and return when it is on record."""
        self.open()
        horizon = self.clock.now()
        try:
            while not self._drained() and self._work_left(horizon):
                wait = self._process_jobs()
                self._event.wait(wait if self._backoff.failures else min(wait, FLUSH))
                self._event.clear()
        finally:
            self._close()

    def open(self, paused: bool = False) -> None:
        """Take a place among the schedulers, and start the executors; `paused`, claim nothing until `resume`.

        A database that is gone, or locked by another process, is waited for, until `drain` or `force`.
        """
        while not self._took_place() and not self._draining:
            self._event.clear()
        BaseScheduler.start(self, paused=paused)

    def _took_place(self) -> bool:
        try:
            self.clock.synchronise()
            recovery.recover(self.clock.now())
            self.lease.acquire()
        except OperationalError as error:
            connection.close()
            self._event.wait(self._backoff.failed(error))
            return False
        self._backoff.succeeded()
        return True

    def drain(self) -> None:
        """Claim nothing more, let what is running end, and stop. Safe to call from a signal handler."""
        self._draining = True
        self.wakeup()

    def force(self) -> None:
        """Stop at once: what is running is lost. Safe to call from a signal handler."""
        self._draining = self._forced = True
        self.wakeup()

    def shutdown(self, wait: bool = True) -> None:
        """Stop, as APScheduler's callers ask for it: `drain`, or without `wait` `force`."""
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        self.drain() if wait else self.force()

    @property
    def unfinished(self) -> int:
        """How many runs were given up at the end, or are still being called."""
        return max(self._given_up, self._pools.taken)

    def _main_loop(self) -> None:
        look_at = 0.0
        while self.state != STATE_STOPPED and not self._drained():
            # Where the database fails, what there is to record has to wait, too.
            due = look_at if self._backoff.failures else min(look_at, self._record_at())
            self._event.wait(max(due - self.clock.monotonic(), 0.0))
            if self._backoff.failures and not self._draining and self.clock.monotonic() < due:
                self._event.clear()  # what woke the loop is not what it waits for
                continue
            if self._woken and not self._wanted:
                time.sleep(max(0.0, self._looked_at + GAP - self.clock.monotonic()))
            self._event.clear()
            if self._woken or self.clock.monotonic() >= due:
                self._woken = False
                wait = self._process_jobs()
                look_at = self.clock.monotonic() + wait

    def _drained(self) -> bool:
        if not self._draining or self._forced:
            return self._forced
        if self._drain_until == float("inf"):
            self._begin_drain()
        return not self._at_work() or self.clock.monotonic() >= self._drain_until

    def _begin_drain(self) -> None:
        self._drain_until = self.clock.monotonic() + DRAIN
        self._unstarted.add(self._pools.take_back())
        self.wakeup()
        logger.info(
            "draining %d runs, %d s at the most", self._pools.taken, DRAIN, extra={"action": "scheduler_draining"}
        )

    def _close(self) -> None:
        """Give up what has not ended, leave the schedulers, and stop the executors."""
        self._unstarted.add(self._pools.take_back())
        if self.lease.scheduler_id:
            self._sign_off()
        self._processes.abandon()
        BlockingScheduler.shutdown(self, wait=False)

    def _sign_off(self) -> None:
        try:
            self._give_back_orphans()
            self._give_back()
            self._flush()
            how = "ended at once" if self._forced else f"stopped, and it did not end within {DRAIN:.0f} s"
            self._given_up = recovery.lose([self.lease.scheduler_id], f"its scheduler was {how}", self.clock.now())
            self.lease.release()
        except Exception as error:
            # The others see the lease run out, and give up what is left. Where that is nothing, all is well.
            left = len(self._pools.held() | self.recorder.unwritten()) + len(self._unstarted)
            self._given_up = max(self._given_up, left)
            what = f"{left} runs are lost when its lease is over" if left else "nothing is lost by it"
            level = logging.ERROR if left else logging.WARNING
            extra = {"action": "scheduler_sign_off_failed"}
            logger.log(level, "could not sign off: %s; %s", error, what, exc_info=bool(left), extra=extra)

    def _work_left(self, horizon: datetime) -> bool:
        if self._at_work() or self._backoff.failures:
            return True
        try:
            seen = admission.look(self.lease.scheduler_id)
        except OperationalError:
            return True  # the next tick sees it, too, and waits
        if self._draining or seen.paused:
            return False
        # What was claimed for want of a slot waits since its claim, and so since after the horizon.
        return seen.is_due(horizon) or (seen.waiting_at is not None and seen.waiting_at <= self.clock.now())
