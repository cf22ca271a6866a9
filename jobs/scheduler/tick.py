"""The tick: one look at the database, and what follows from it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from apscheduler.schedulers.base import STATE_RUNNING
from django.conf import settings
from django.db import connection, reset_queries

from ..worker import runner
from . import recovery
from .backoff import Backoff
from .cancellation import cancel_wanted
from .cooldown import Stuck
from .events import TellingScheduler
from .executors import ProcessExecutor, ThreadExecutor
from .jobstore import JobStore
from .lease import LEASE, Lease
from .pools import Pools
from .pruner import Pruner
from .recorder import Recorder
from .releases import Unstarted
from .repair import Inspector, repair_after
from .replacing import Replacer
from .store import admission, claims
from .store.clock import DatabaseClock
from .store.due import most
from .store.held import HeldRun, Outcome
from .wakeup import Bell

logger = logging.getLogger("cronzimus.scheduler.tick")

POLL = 1.0
"""Seconds after which the loop looks for itself, should it not have been woken."""
FLUSH = 0.05
"""Seconds that a start or an outcome waits, at the most, for others to be written with it."""
LIVE = 0.5
"""Seconds between two writes of what running runs have written so far."""
STALL = 1.0
"""Seconds without a start after which runs that were claimed ahead are given back, for others to start."""


class TickingScheduler(TellingScheduler):
    """An APScheduler scheduler whose step is `tick`: it beats, looks, claims, hands out and records.

    Everything that it writes is written by the thread that ticks; the threads of the executors only run functions. The
    heartbeat is the tick's own, so that a loop that hangs is seen to be dead.
    """

    def __init__(self, threads: int, processes: int = 1, clock: DatabaseClock | None = None) -> None:
        """Make a scheduler that runs up to `threads` functions in its own process, and `processes` in others."""
        self.clock = clock or DatabaseClock()
        self.lease = Lease(self.clock, threads, processes)
        self.recorder = Recorder(self._something_to_record)
        self._unstarted = Unstarted()
        in_threads = ThreadExecutor(
            threads, self._execute, partial(self._room_for_more, "thread"), self.recorder.cancel
        )
        self._processes = ProcessExecutor(
            processes, self.clock, self.recorder, self._may_start, partial(self._room_for_more, "process")
        )
        self._pools = Pools({"thread": in_threads, "process": self._processes})
        self._pruner = Pruner(self.clock)
        self._event = Bell()
        self._draining = False
        self._backoff = Backoff()
        self._replacer, self._inspector = Replacer(), Inspector()
        # The loop's own; the threads of the executors write `_woken`, `_flush_at` and `_started_at` too, each at once.
        self._woken = False
        self._wanted: frozenset[str] = frozenset()
        self._flush_at = float("inf")
        self._live_at = self._looked_at = 0.0
        self._late_at = float("-inf")
        self._started_at: dict[str, float] = {}
        self._due, self._waiting = Stuck(), Stuck()
        self._awaited: set[int] = set()
        self._rest_until = 0.0
        super().__init__(
            timezone=settings.TIME_ZONE, executors=self._pools.executors, jobstores={"default": JobStore()}
        )

    def wakeup(self) -> None:
        """Have the loop look at once: something changed in the database, or in what may be claimed."""
        self._woken = True
        self._event.set()

    def _something_to_record(self, ended: int | None) -> None:
        # Not a reason to look: the loop only has to know until when to wait. What others wait for is written at once.
        at = self.clock.monotonic() + (0.0 if ended in self._awaited else FLUSH)
        if at < self._flush_at:
            self._flush_at = at
            self._event.set()

    def _room_for_more(self, executor: str) -> None:
        if executor in self._wanted:
            self.wakeup()

    def _record_at(self) -> float:
        """Return the monotonic time at which there is something to write."""
        if self.recorder.dirty and self._flush_at == float("inf"):  # what came while the last was being written
            self._flush_at = self.clock.monotonic() + FLUSH
        return min(self._flush_at, self._live_at + LIVE if self.recorder.running else float("inf"))

    def _at_work(self) -> bool:
        # In this order a run passes through them: one that moves on meanwhile is still seen.
        return bool(self._pools.taken or self.recorder.dirty or self._unstarted)

    def _process_jobs(self) -> float:
        """Do what is to be done now; return the seconds until there is more to do, if nothing wakes the loop."""
        try:
            wait = self.tick()
        except Exception as error:
            # Whatever happens to the database, or in one of our own steps: the loop goes on.
            connection.close()
            repair_after(error, self.clock.now())
            self._wanted = frozenset()
            return self._backoff.failed(error)
        self._backoff.succeeded()
        return wait

    def tick(self) -> float:
        """Beat, look, claim and record, each where it is due; return the seconds until the next look."""
        reset_queries()  # with DEBUG, Django keeps the text of each statement until a request ends, and none does here
        self._looked_at = monotonic = self.clock.monotonic()
        self._beat(monotonic)
        self._pruner.work()
        self._give_back()
        if self._backoff.failures:
            self._give_back_orphans()
        seen, now = admission.look(self.lease.scheduler_id), self.clock.now()
        if seen.cancellations:
            cancel_wanted(self.lease.scheduler_id, self._pools, self.recorder, now)
        rooms = self._rooms(seen, monotonic)
        self._tell_unstarted(self._replacer.claim(self.lease.scheduler_id, rooms, seen, now))
        if self._flush_at <= monotonic:
            self._hurry()
        due = self._due.worth(rooms, seen.due_at, now, monotonic)
        waiting = self._waiting.worth(rooms, seen.waiting_at, now, monotonic)
        if (due or waiting) and monotonic >= self._rest_until and self._claim(due, waiting, seen, now):
            self._record(monotonic)
            return self._rest(seen, monotonic)
        # Where only room is wanting, for this kind of run or for all, the loop goes on as soon as there is some.
        self._wanted = frozenset(name for name, room in rooms.items() if not room and seen.is_due(now))
        if self._record_at() <= monotonic:
            self._record(monotonic)
        return self._idle(now, [name for name, room in rooms.items() if room])

    def _rest(self, seen: admission.Look, began: float) -> float:
        """Leave the database to other schedulers after a claim, where its lock is not fair; return for how long.

        Who waits for SQLite's lock looks once a millisecond; who has had it would be back before that.
        """
        if connection.vendor != "sqlite" or not seen.others:
            return 0.0
        ended = self.clock.monotonic()
        self._rest_until = ended + min((ended - began) * seen.others, POLL)
        return self._rest_until - ended

    def _record(self, monotonic: float) -> None:
        if self._flush_at <= monotonic:
            self._flush()
        if self.recorder.running and monotonic - self._live_at >= LIVE:
            # Where that takes long, it is done less often: it may have a tenth of the loop's time.
            self._live_at = monotonic + 9 * self.recorder.flush_live(self.lease.scheduler_id)

    def _idle(self, now: datetime, roomy: Sequence[str]) -> float:
        monotonic = self.clock.monotonic()
        work = min(stuck.wait(roomy, now, monotonic) for stuck in (self._due, self._waiting))
        work = max(work, self._rest_until - monotonic)
        return max(min(work, POLL, self.lease.due - monotonic, self._pruner.due - monotonic), 0.0)

    def _beat(self, monotonic: float) -> None:
        if monotonic < self.lease.due:
            return
        self.clock.synchronise()
        if not self.lease.held:  # what kept this one from its heartbeat may have kept the others from theirs
            self._late_at = monotonic
        if not self.lease.renew(queued=self._pools.queued, running=self.recorder.running):
            logger.error("%s was given up by others", self.lease.scheduler_id, extra={"action": "lease_lost"})
            # What was claimed too late for the others to see it can still be had by any.
            self._unstarted.add(self._pools.take_back())
            self._unstarted.give_back(self.lease.scheduler_id, self.clock.now())
            self.lease.acquire()
        self._give_back_orphans()
        now = self.clock.now()
        if monotonic - max(self.clock.jumped_at, self._late_at) > LEASE:
            # After a jump of the clock, or an outage, all that live have had the time to renew their leases.
            recovery.recover(now)
        recovery.forget_stopped(now)
        self._inspector.round(now)

    def _rooms(self, seen: admission.Look, monotonic: float) -> dict[str, int]:
        """Return how many runs each executor may be given; nothing where nothing may be claimed."""
        if self.state != STATE_RUNNING or self._draining or seen.paused or not self.lease.held:
            return {}
        return self._pools.rooms(monotonic, seen.others)

    def _claim(self, due: dict[str, int], waiting: dict[str, int], seen: admission.Look, now: datetime) -> bool:
        """Take what waits, then what is due, as far as there is room for each; return whether there was anything.

        What has ended is written first, in the same transaction: a job whose run has just ended may have the next one.
        """
        room = max(most(due), most(waiting))
        with self.recorder.flushing(self.lease.scheduler_id, now) as outcomes:
            if outcomes:
                self._hurry()
            runs = self._admit(waiting, now)
            claimed = self._claim_due(due, runs, seen, now)
        self._flushed(outcomes)
        self._tell_unstarted(claimed.unstarted)
        runs += claimed.runs
        self._wanted = frozenset(self._pools.executors if max(len(runs), claimed.jobs) >= room else ())
        if runs:
            self._started_at |= dict.fromkeys((run.executor for run in runs), self.clock.monotonic())
            self._pools.submit(runs)
            self._dispatch_submitted(runs)
        return bool(runs or claimed.jobs)

    def _admit(self, rooms: dict[str, int], now: datetime) -> list[HeldRun]:
        began = self.clock.monotonic()
        runs = admission.admit(self.lease.scheduler_id, rooms, now) if rooms else []
        if rooms and not runs:
            self._awaited = admission.awaited(self.lease.scheduler_id)
            self._waiting.found_nothing(rooms, began, self.clock.monotonic())
        return runs

    def _claim_due(
        self, rooms: dict[str, int], taken: Sequence[HeldRun], seen: admission.Look, now: datetime
    ) -> claims.Claimed:
        began, left = self.clock.monotonic(), Counter(rooms)
        left.subtract(run.executor for run in taken if run.executor in rooms)
        if not any(left.values()):
            return claims.Claimed()
        by_priority = seen.goes_by_priority(now)
        claimed = claims.claim_due(self.lease.scheduler_id, left, now, by_priority=by_priority)
        if not claimed.jobs:
            self._due.found_nothing(rooms, began, self.clock.monotonic())
        return claimed

    def _give_back(self) -> None:
        """Let others have what was claimed and not started, where it can not be started here soon."""
        if self._pools.queued and not self._draining:
            since = self.clock.monotonic() - STALL
            stalled = [name for name, at in self._started_at.items() if at < since]
            self._unstarted.add(self._pools.take_back(stalled))
        self._unstarted.give_back(self.lease.scheduler_id, self.clock.now())

    def _give_back_orphans(self) -> None:
        """Let others have what a claim took whose answer was lost with the connection."""
        known = self._pools.held() | self.recorder.unwritten()
        self._unstarted.give_back_orphans(self.lease.scheduler_id, known, self.clock.now())

    def _flush(self) -> None:
        self._flushed(self.recorder.flush(self.lease.scheduler_id, self.clock.now()))

    def _hurry(self) -> None:
        """Look sooner for what is stuck: what has ended may be of the job or the group that was full."""
        self._due.hurry()
        self._waiting.hurry()

    def _flushed(self, outcomes: Sequence[Outcome]) -> None:
        self._flush_at = float("inf")
        self._pools.ended(outcomes, self.clock.monotonic())
        for outcome in outcomes:
            self._tell(outcome)

    def _may_start(self, run: HeldRun) -> bool:
        """Tell whether the lease still allows a start; where it does not, the run is given back."""
        # The lease that the run was claimed under, and not a later one: others may have given the run up in between.
        if self.lease.held and run.scheduler_id == self.lease.scheduler_id:
            self._started_at[run.executor] = self.clock.monotonic()
            return True
        self._unstarted.add([run])
        return False

    def _execute(self, run: HeldRun) -> None:
        if self._may_start(run):
            self.recorder.finished(runner.execute(run, self.clock, self.recorder.started))
