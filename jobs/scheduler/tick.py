"""The tick: one step of the scheduler's loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf

from django.db import connection, reset_queries, transaction

from ..core.capacity import Capacity
from ..core.held import HeldRun, Outcome
from ..core.runs import Executor, RunStatus
from .batches import FLUSH_SECONDS, Batches
from .cooldown import Cooldown, rest_after
from .events import Events
from .executors import ExecutorFactory, Executors, Hooks
from .incidents import IncidentWatch
from .lease import Lease
from .lease_time import LEASE_SECONDS
from .memory import resident_memory
from .pruner import Pruner
from .recorder import Recorder
from .releases import Releases
from .store import admission, claims, dispatch, recovery
from .store.analysis import Analysis
from .store.clock import DatabaseClock
from .store.connection import require_current_file
from .store.refusals import write_all_live
from .store.repair import Inspector, repair_after
from .store.work import PendingWork, cancel_requests, pending_work
from .wakeup import Bell

logger = logging.getLogger("cronzimus.scheduler.tick")

POLL_SECONDS = 1.0
"""Time after which the loop looks at the database without being woken."""
LIVE_SECONDS = 0.5
"""Time between two writes of the output of running runs."""
STALL_SECONDS = 1.0
"""Time without a start after which an executor's queued runs are given back, for other schedulers."""
REPLACE_SECONDS = 1.0
"""Time between two searches for replacing jobs while an executor is full: each reads all due jobs."""


class Tick:
    """One step of the loop: heartbeat, search for work, claim, hand out, and write.

    The thread that ticks writes everything; the executors' threads only run functions. The heartbeat is part of the
    tick, so that others see a loop that hangs as dead.
    """

    def __init__(
        self,
        clock: DatabaseClock,
        make_executors: ExecutorFactory,
        events: Events,
        bell: Bell,
        may_claim: Callable[[], bool],
    ) -> None:
        """Prepare the ticks of a loop that waits on `bell`. They claim only while `may_claim` returns true."""
        self.recorder = Recorder(self._something_to_write)
        self.releases = Releases()
        hooks = Hooks(
            clock=clock, recorder=self.recorder, may_start=self._start_or_release,
            may_call=lambda run: self.lease.covers(run), on_low=self._running_low,
        )  # fmt: skip
        self.executors = Executors(make_executors(hooks))
        self.lease = Lease(clock, self.executors.slots(Executor.THREAD), self.executors.slots(Executor.PROCESS))
        self.woken = False
        """Whether there is a reason to look at the database at once. Any thread may set it."""
        self.starved: frozenset[str] = frozenset()
        """The executors for which there was more work than capacity."""
        self.began_at = 0.0
        """The monotonic time at which the last tick began, in seconds."""
        self._clock, self._events, self._bell, self._may_claim = clock, events, bell, may_claim
        self._pruner, self._inspector, self._incidents = Pruner(clock), Inspector(), IncidentWatch()
        self._batches = Batches(clock, self.recorder, self._incidents)
        self._analysis = Analysis()
        self._due, self._waiting = Cooldown(), Cooldown()
        self._awaited: set[int] = set()
        self._may_hold_orphans = False
        # Monotonic times. The executors' threads write the first two as well, each with a single operation.
        self._flush_at = inf
        self._started_at: dict[str, float] = {}
        self._live_at = self._rest_until = 0.0
        self._late_at = self._replaced_at = -inf

    # --- for any thread ----------------------------------------------------------------------------------------------

    def wake_up(self) -> None:
        """Make the loop look at once: something changed in the database, or an executor has capacity again."""
        self.woken = True
        self._bell.set()

    def _something_to_write(self, ended: int | None) -> None:
        # The loop need not look, only know until when to wait. Ends for which other runs wait are written at once.
        at = self._clock.monotonic() + (0.0 if ended in self._awaited else FLUSH_SECONDS)
        if at < self._flush_at:
            self._flush_at = at
            self._bell.set()

    def _running_low(self, executor: str) -> None:
        if executor in self.starved:
            self.wake_up()

    def _start_or_release(self, run: HeldRun) -> bool:
        if self.lease.covers(run):
            self._started_at[run.executor] = self._clock.monotonic()
            return True
        self.releases.add([run])
        return False

    # --- the life of the loop ----------------------------------------------------------------------------------------

    def join(self) -> None:
        """Take a lease."""
        self._clock.synchronise()
        self._analysis.forget()
        recovery.recover(self._clock.now(), self._clock.now)
        require_current_file()
        self.lease.acquire()
        require_current_file()  # the first look at the file, to which later ones compare it

    def clean_up_after(self, error: Exception) -> None:
        """Clean up after a tick that raised `error`. Raises `DatabaseReplaced` if that was the cause."""
        require_current_file()
        connection.close()
        repair_after(error, self._clock.now())
        self.starved = frozenset()
        self._may_hold_orphans = True

    def take_back(self) -> None:
        """Give back the runs that the executors have not started."""
        self.releases.add(self.executors.take_back())

    def leave(self, reason: str) -> int:
        """Write all outcomes, mark the runs that are still running as lost for `reason`, and give up the lease.

        Return the number of lost runs.
        """
        self._reconcile()
        self.releases.give_back(self.lease.scheduler_id, self._clock.now())
        self._flush()
        lost = recovery.lose_own(self.lease.scheduler_id, reason, self._clock.now())
        self.lease.release()
        return lost

    @property
    def at_work(self) -> bool:
        """Whether a run is queued, running, or not written yet."""
        # A run passes through them in this order, so that one that moves on meanwhile is still seen.
        return bool(self.executors.taken or self.recorder.dirty or self.releases)

    @property
    def unsaved(self) -> int:
        """The number of runs that are held, ended and not written, or to be given back."""
        return len(self.executors.held() | self.recorder.unwritten()) + len(self.releases)

    @property
    def write_at(self) -> float:
        """The monotonic time of the next write."""
        if self.recorder.dirty and self._flush_at == inf:  # it came while the last batch was being written
            self._flush_at = self._clock.monotonic() + FLUSH_SECONDS
        return min(self._flush_at, self._live_at + LIVE_SECONDS if self.recorder.running else inf)

    # --- one tick ----------------------------------------------------------------------------------------------------

    def run(self) -> float:
        """Do one step; return the seconds until the next tick, if nothing wakes the loop.

        Raises the errors of the database; call `clean_up_after` then.
        """
        reset_queries()  # with DEBUG, Django keeps the text of every statement until a request ends, and none does here
        self.began_at = monotonic = self._clock.monotonic()
        if monotonic >= self.lease.due:
            self._beat(monotonic)
        self._pruner.work()
        self._give_back()
        pending, now = pending_work(self.lease.scheduler_id), self._clock.now()
        if pending.has_cancellations:
            self._cancel_requested(now)
        capacity = self._capacity(pending, monotonic, now)
        self._claim_replacements(capacity, pending, now)
        if self._flush_at <= monotonic:
            self._shorten_cooldowns()
        due = self._due.ready(capacity, pending.due_at, now, monotonic)
        waiting = self._waiting.ready(capacity, pending.waiting_at, now, monotonic)
        if (due or waiting) and monotonic >= self._rest_until and self._claim(due, waiting, pending, now):
            self._write(monotonic)
            return self._rest(pending, monotonic)
        # With more work than capacity, the loop goes on as soon as there is capacity.
        more = pending.is_due(now) or pending.is_waiting(now)
        self.starved = frozenset(name for name, free in capacity.items() if more and not free)
        if self.write_at <= monotonic:
            self._write(monotonic)
        return self._idle_seconds(now, [name for name, free in capacity.items() if free])

    def _beat(self, monotonic: float) -> None:
        require_current_file()
        self._clock.synchronise()
        if not self.lease.held:  # the cause of the late heartbeat may have delayed the others', too
            self._late_at = monotonic
        was_drained, queued, running = self.lease.drained, self.executors.queued, self.recorder.running
        if not self.lease.renew(queued=queued, running=running, skew=self._clock.skew, memory=resident_memory()):
            logger.error("others ended the lease of %s", self.lease.scheduler_id, extra={"action": "lease_lost"})
            # Runs that it claimed too late for the others to see can still be given back.
            self.take_back()
            self.releases.give_back(self.lease.scheduler_id, self._clock.now())
            self.lease.acquire()
        elif self.lease.drained and not was_drained:
            self.take_back()
        self._reconcile()
        now = self._clock.now()
        if monotonic - max(self._clock.jumped_at, self._late_at) > LEASE_SECONDS:
            # After a jump of the clock, or an outage, every living scheduler has had the time to renew its lease.
            recovery.recover(now, self._clock.now)
            if not self.executors.reaches_workers and dispatch.survey(now).dead:
                recovery.recover_workers(now, self._clock.now)
        recovery.forget_stopped(now)
        self._incidents.refresh(now)
        self._inspector.work(now)
        self._analysis.forget()

    def _capacity(self, pending: PendingWork, monotonic: float, now: datetime) -> Capacity:
        """Return the number of runs that each lane may be given; empty if nothing may be claimed."""
        if pending.paused or not self.lease.held or self.lease.drained or not self._may_claim():
            return Capacity({})
        has_work = pending.is_due(now) or pending.is_waiting(now)
        return self.executors.capacity(monotonic, pending.others, has_work=has_work)

    def _idle_seconds(self, now: datetime, free: Sequence[str]) -> float:
        monotonic = self._clock.monotonic()
        work = min(cooldown.wait(free, now, monotonic) for cooldown in (self._due, self._waiting))
        work = max(work, self._rest_until - monotonic)
        return max(min(work, POLL_SECONDS, self.lease.due - monotonic, self._pruner.due - monotonic), 0.0)

    def _rest(self, pending: PendingWork, began: float) -> float:
        """Return the seconds for which to leave SQLite to other schedulers after a claim: its lock is not fair.

        A waiting scheduler tries to get the lock once a millisecond; without a rest, this one would be faster.
        """
        if connection.vendor != "sqlite" or not pending.others:
            return 0.0
        ended = self._clock.monotonic()
        self._rest_until = ended + min((ended - began) * pending.others, POLL_SECONDS)
        return self._rest_until - ended

    # --- taking work -------------------------------------------------------------------------------------------------

    def _claim(self, due: Capacity, waiting: Capacity, pending: PendingWork, now: datetime) -> bool:
        """Take waiting runs, then due jobs, up to the capacity for each; return whether there were any.

        Outcomes are written first, in the same transaction: a job whose run has just ended may have the next one.
        """
        with self._batches.writing(self.lease.scheduler_id, now) as stored:
            if stored.outcomes:
                self._shorten_cooldowns()
            runs = self._admit(waiting, now)
            claimed = self._claim_due(due, runs, pending, now)
            self._incidents.born_finished(claimed.born_finished, now)
        self._written(stored.outcomes)
        self._events.born_finished(claimed.born_finished)
        runs += claimed.runs
        most = max([*due.values(), *waiting.values()])
        self.starved = frozenset(self.executors.by_name if max(len(runs), claimed.jobs) >= most else ())
        if runs:
            began = self._clock.monotonic()
            self._started_at |= dict.fromkeys(self.executors.submit(runs), began)
            self._events.submitted(runs)
        return bool(runs or claimed.jobs)

    def _admit(self, capacity: Capacity, now: datetime) -> list[HeldRun]:
        began = self._clock.monotonic()
        runs = admission.admit(self.lease.scheduler_id, capacity, now) if capacity else []
        if capacity and not runs:
            self._awaited = admission.awaited_runs(self.lease.scheduler_id)
            self._waiting.missed(capacity, began, self._clock.monotonic())
        return runs

    def _claim_due(
        self, capacity: Capacity, admitted: Sequence[HeldRun], pending: PendingWork, now: datetime
    ) -> claims.Claimed:
        began, left = self._clock.monotonic(), Capacity(capacity)
        for run in admitted:
            left.take(run.lane)
        if not any(left.values()):
            return claims.Claimed()
        by_priority = pending.is_prioritised(now)
        claimed = claims.claim_due(self.lease.scheduler_id, left, now, by_priority=by_priority)
        if not claimed.jobs:
            self._due.missed(capacity, began, self._clock.monotonic())
        return claimed

    def _claim_replacements(self, capacity: Capacity, pending: PendingWork, now: datetime) -> None:
        """Claim due jobs that replace their own runs although an executor is full: such a run may fill it.

        The new runs wait without a holder, for the first scheduler with a free slot, most likely this one.
        """
        monotonic = self._clock.monotonic()
        is_full = bool(capacity) and not all(capacity.values())
        if not is_full or not pending.is_due(now) or monotonic - self._replaced_at < REPLACE_SECONDS:
            return
        self._replaced_at = monotonic
        with transaction.atomic():
            claimed = claims.claim_replacing(self.lease.scheduler_id, now, by_priority=pending.is_prioritised(now))
            self._incidents.born_finished(claimed.born_finished, now)
        self._events.born_finished(claimed.born_finished)

    def _shorten_cooldowns(self) -> None:
        self._due.shorten()
        self._waiting.shorten()

    # --- giving back and cancelling ----------------------------------------------------------------------------------

    def _give_back(self) -> None:
        """Give back the runs that cannot start here soon, for other schedulers."""
        if self.executors.queued:
            since = self._clock.monotonic() - STALL_SECONDS
            stalled = [name for name, at in self._started_at.items() if at < since]
            self.releases.add(self.executors.take_back(stalled))
        self.releases.give_back(self.lease.scheduler_id, self._clock.now())
        if self._may_hold_orphans:
            self._reconcile()
            self._may_hold_orphans = False

    def _reconcile(self) -> None:
        """Give back queued runs that only the database has, mark its running ones as lost, and cancel runs of others.

        The latter are those that only this process has: somebody ended them in the database.
        """
        known, holder = self.executors.held() | self.recorder.unwritten(), self.lease.scheduler_id
        held = self.releases.reconcile(holder, known, self._clock.now())
        for run in (activity.run for activity in self.recorder.activities()):
            if run.scheduler_id == holder and run.id not in held:
                self.executors.cancel(run.id, run.executor, recovery.ENDED_BY_OTHERS)

    def _cancel_requested(self, now: datetime) -> None:
        """Cancel the runs that people asked to cancel: at once if not started, or else through the executor."""
        for run_id, executor, reason in cancel_requests(self.lease.scheduler_id):
            run = self.executors.cancel(run_id, executor, reason)
            if run is not None:
                self.recorder.finished(
                    Outcome(
                        run.id, run.job_id, run.executor, RunStatus.CANCELLED, None, now, run.scheduled_time, reason
                    )
                )

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self, monotonic: float) -> None:
        if self._flush_at <= monotonic:
            self._flush()
        # The same sum as in `write_at`: a difference rounds otherwise, and the loop would come back at once.
        if self.recorder.running and self._live_at + LIVE_SECONDS <= monotonic:
            self._write_live(monotonic)

    def _flush(self) -> None:
        with self._batches.writing(self.lease.scheduler_id, self._clock.now()) as stored:
            pass
        self._written(stored.outcomes)

    def _written(self, outcomes: Sequence[Outcome]) -> None:
        self._flush_at = inf if self.recorder.has_new else self._batches.retry_at
        self.executors.measure(outcomes, self._clock.monotonic())
        for outcome in outcomes:
            self._events.finished(outcome)

    def _write_live(self, monotonic: float) -> None:
        began = self._clock.monotonic()
        updates = self.recorder.live_updates()
        self.recorder.shown(write_all_live(updates, self.lease.scheduler_id))
        self._live_at = monotonic + rest_after(self._clock.monotonic() - began)
