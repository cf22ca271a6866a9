"""The loop: an APScheduler scheduler that claims, hands out and records, in one thread and many runs at a time."""

from __future__ import annotations

import logging
import time
from collections import deque
from datetime import datetime

from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.base import STATE_RUNNING, STATE_STOPPED, BaseScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from django.conf import settings
from django.db import connection

from . import claims, recovery, runner
from .clock import DatabaseClock
from .executors import ThreadExecutor
from .jobstore import JobStore
from .lease import Lease
from .rate import Rate
from .recorder import Recorder
from .telling import TellingScheduler
from .wakeup import Bell, Watcher
from .work import HeldRun

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds after which the loop looks for itself, should it not have been woken."""
GAP = 0.01
"""Seconds between two looks of a loop that keeps up: what happens in between is handled together."""
FLUSH = 0.05
"""Seconds that an outcome waits, at the most, for others to be written with it."""
LIVE = 0.5
"""Seconds between two writes of what running runs have written so far."""
AHEAD = 0.1
"""Seconds of work that are claimed ahead, at the rate at which runs end now."""
MAX_AHEAD = 1000
"""Runs that are claimed ahead at the most."""
STALL = 1.0
"""Seconds without a start after which runs that were claimed ahead are given back, for others to start."""
DRAIN = 30.0
"""Seconds that running runs have to end, once the scheduler was told to stop."""
RETRY = (0.2, 5.0)
"""Seconds until a failed tick is tried again: at first, and at the most."""


class Scheduler(TellingScheduler):
    """One of the schedulers on a database.

    Everything that it writes is written by the thread that runs the loop; the threads of the executor only run
    functions. The heartbeat is the loop's own, so that a loop that hangs is seen to be dead.
    """

    def __init__(self, threads: int, clock: DatabaseClock | None = None) -> None:
        """Make a scheduler that runs up to `threads` functions at once."""
        self.clock = clock or DatabaseClock()
        self.lease = Lease(self.clock, threads)
        self.recorder = Recorder(self.wakeup)
        self._unstarted: deque[HeldRun] = deque()
        self._executor = ThreadExecutor(threads, self._execute, self.wakeup)
        self._event = Bell()
        self._draining = self._forced = False
        self._drain_until = float("inf")
        self._failures = self._given_up = 0
        self._more = False
        self._rate = Rate()
        self._flushed_at = self._live_at = self._started_at = self._looked_at = 0.0
        super().__init__(
            timezone=settings.TIME_ZONE, executors={"thread": self._executor}, jobstores={"default": JobStore()}
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self, paused: bool = False) -> None:
        """Run until `drain` or `force` ends it. Returns when every outcome is on record, or given up."""
        self.open(paused=paused)
        watcher = Watcher(self.wakeup)
        watcher.start()
        try:
            self._main_loop()
        finally:
            watcher.stop()
            self._close()

    def run_once(self) -> None:
        """Claim and run all that is due now, and return when it is on record."""
        self.open()
        horizon = self.clock.now()
        try:
            while self._work_left(horizon) and not self._forced:
                self._event.wait(min(self._process_jobs(), FLUSH))
        finally:
            self._close()

    def open(self, paused: bool = False) -> None:
        """Take a place among the schedulers, and start the executor; `paused`, claim nothing until `resume`."""
        self.clock.synchronise()
        recovery.recover(self.clock.now())
        self.lease.acquire()
        BaseScheduler.start(self, paused=paused)

    def drain(self) -> None:
        """Claim nothing more, let what is running end, and stop. Safe to call from a signal handler."""
        self._draining = True
        self._event.set()

    def force(self) -> None:
        """Stop at once: what is running is lost. Safe to call from a signal handler."""
        self._draining = self._forced = True
        self._event.set()

    def shutdown(self, wait: bool = True) -> None:
        """Stop, as APScheduler's callers ask for it: `drain`, or without `wait` `force`."""
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        self.drain() if wait else self.force()

    @property
    def unfinished(self) -> int:
        """How many runs were given up at the end, or are still being called."""
        return max(self._given_up, self._executor.busy)

    def _main_loop(self) -> None:
        wait = 0.0
        while self.state != STATE_STOPPED and not self._drained():
            self._event.wait(wait)
            if not self._more:
                time.sleep(max(0.0, self._looked_at + GAP - self.clock.monotonic()))
            self._event.clear()
            wait = self._process_jobs()

    def _drained(self) -> bool:
        if not self._draining or self._forced:
            return self._forced
        if self._drain_until == float("inf"):
            self._begin_drain()
        return not self._at_work() or self.clock.monotonic() >= self._drain_until

    def _at_work(self) -> bool:
        # In this order a run passes through them: one that moves on meanwhile is still seen.
        return bool(self._executor.queued or self._executor.busy or self.recorder.dirty or self._unstarted)

    def _begin_drain(self) -> None:
        self._drain_until = self.clock.monotonic() + DRAIN
        self._unstarted.extend(self._executor.take_back())
        running = self._executor.busy
        logger.info("draining %d runs, %d s at the most", running, DRAIN, extra={"action": "scheduler_draining"})

    def _close(self) -> None:
        """Give up what has not ended, leave the schedulers, and stop the executor."""
        self._unstarted.extend(self._executor.take_back())
        try:
            self._give_back()
            self._flush()
            how = "ended at once" if self._forced else f"stopped, and it did not end within {DRAIN:.0f} s"
            self._given_up = recovery.lose([self.lease.scheduler_id], f"its scheduler was {how}", self.clock.now())
            self.lease.release()
        except Exception:
            # The others see the lease run out, and do the same.
            logger.exception("could not sign off", extra={"action": "scheduler_sign_off_failed"})
        BlockingScheduler.shutdown(self, wait=False)

    # --- the tick ----------------------------------------------------------------------------------------------------

    def _process_jobs(self) -> float:
        """Do what is to be done now; return the seconds until there is more to do, if nothing wakes the loop."""
        wait: float
        try:
            wait = self.tick()
        except Exception as error:
            # Whatever happens to the database, or in one of our own steps: the loop goes on.
            self._failures += 1
            wait = min(RETRY[0] * 2 ** min(self._failures - 1, 10), RETRY[1])
            level = logging.WARNING if self._failures > 1 else logging.ERROR
            logger.log(level, "%s; trying again in %.1f s", error, wait, exc_info=self._failures == 1,
                       extra={"action": "tick_failed"})  # fmt: skip
            connection.close()
            self._more = False
            return wait
        if self._failures:
            logger.info("going on after %d failures", self._failures, extra={"action": "tick_recovered"})
            self._failures = 0
        return wait

    def tick(self) -> float:
        """Beat, look, claim and record, each where it is due; return the seconds until the next look."""
        self._looked_at = monotonic = self.clock.monotonic()
        self._beat(monotonic)
        self._give_back()
        if self._failures:
            self._take_up_orphans()
        due_at, waiting = claims.look()
        now = self.clock.now()
        room = self._room()
        if room and (waiting or (due_at is not None and due_at <= now)):
            self._flush()
            self._claim(room, waiting)
            return 0.0
        self._more = False
        if self.recorder.dirty and monotonic - self._flushed_at >= FLUSH:
            self._flush()
        if self.recorder.running and monotonic - self._live_at >= LIVE:
            self.recorder.flush_live(self.lease.scheduler_id)
            self._live_at = monotonic
        return self._idle(due_at if room else None, now)

    def _idle(self, due_at: datetime | None, now: datetime) -> float:
        monotonic = self.clock.monotonic()
        until = [POLL, self.lease.due - monotonic]
        if due_at is not None:
            until.append((due_at - now).total_seconds())
        if self.recorder.dirty:
            until.append(self._flushed_at + FLUSH - monotonic)
        if self.recorder.running:
            until.append(self._live_at + LIVE - monotonic)
        return max(min(until), 0.0)

    def _beat(self, monotonic: float) -> None:
        if monotonic < self.lease.due:
            return
        self.clock.synchronise()
        if not self.lease.renew(queued=self._executor.queued, running=self.recorder.running):
            logger.error(
                "the lease of %s was given up by others", self.lease.scheduler_id, extra={"action": "lease_lost"}
            )
            self._executor.take_back()
            self.lease.acquire()
        recovery.recover(self.clock.now())
        recovery.forget_stopped(self.clock.now())

    def _room(self) -> int:
        """Return how many runs may be claimed: the free slots, and what is ended soon at the rate of now."""
        if self.state != STATE_RUNNING or self._draining or not self.lease.held:
            return 0
        taken = self._executor.queued + self._executor.busy
        ahead = min(int(self._rate.per_second(self.clock.monotonic()) * AHEAD), MAX_AHEAD)
        return max(self._executor.slots + ahead - taken, 0)

    def _claim(self, room: int, waiting: bool) -> None:
        runs = claims.claim_waiting(self.lease.scheduler_id, room) if waiting else []
        claimed = (
            claims.claim_due(self.lease.scheduler_id, room - len(runs), self.clock.now()) if room > len(runs) else None
        )
        if claimed is not None:
            runs += claimed.runs
            self._tell_unstarted(claimed.unstarted)
        self._more = len(runs) >= room or (claimed is not None and claimed.jobs >= room)
        if runs:
            self._started_at = self.clock.monotonic()
            self._executor.submit_all(runs)
            self._dispatch_submitted(runs)

    def _give_back(self) -> None:
        """Let others have what was claimed and not started, where it can not be started here soon."""
        stalled = self._executor.queued and self.clock.monotonic() - self._started_at > STALL
        if stalled and self._draining is False:
            self._unstarted.extend(self._executor.take_back())
        if self._unstarted:
            runs = list(self._unstarted)
            claims.give_back(self.lease.scheduler_id, [run.id for run in runs])
            for _ in runs:
                self._unstarted.popleft()

    def _take_up_orphans(self) -> None:
        """Give back what a claim took whose answer was lost with the connection: nobody would start it."""
        known = self._executor.held() | self.recorder.unwritten() | {run.id for run in self._unstarted}
        claims.give_back(self.lease.scheduler_id, list(claims.held(self.lease.scheduler_id) - known))

    def _flush(self) -> None:
        outcomes = self.recorder.flush(self.lease.scheduler_id)
        self._flushed_at = self.clock.monotonic()
        self._rate.add(len(outcomes), self._flushed_at)
        for outcome in outcomes:
            self._tell(outcome)

    def _execute(self, run: HeldRun) -> None:
        if not self.lease.held:
            self._unstarted.append(run)
            return
        self._started_at = self.clock.monotonic()
        self.recorder.finished(runner.execute(run, self.clock, self.recorder.started))

    def _work_left(self, horizon: datetime) -> bool:
        if self._at_work() or self._failures:
            return True
        due_at, waiting = claims.look()
        return not self._draining and (waiting or (due_at is not None and due_at <= horizon))
