"""A scheduler's place among the others: its row, its heartbeat, its lease, and the runs that it gives back."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from .. import __version__
from ..conf import conf
from ..core import log_context
from ..core.brokers import broker_name
from ..core.clock import Clock
from ..core.held import HeldRun
from ..core.runs import RunStatus
from ..core.zone_data import used_data
from ..models import Scheduler
from .store import admission, recovery

logger = logging.getLogger("cronzimus.scheduler.lease")

HEARTBEAT_SECONDS = 5.0
"""Time between two heartbeats."""
LEASE_SECONDS = 15.0
"""Time for which a scheduler holds its runs without a new heartbeat."""


class Lease:
    """The right of this process to start and to finish the runs that it claimed.

    The executors' threads ask for it before each start. A process that was stopped for longer than its lease, or that
    could not reach the database, starts nothing: another scheduler may have marked its runs as lost.
    """

    def __init__(self, clock: Clock, threads: int, processes: int) -> None:
        """Prepare the lease of a scheduler with so many threads and processes; `acquire` takes it."""
        self.scheduler_id = ""
        self.drained = False
        """Whether a person has drained this scheduler, as of the last heartbeat."""
        self._clock = clock
        self._threads = threads
        self._processes = processes
        self._until = 0.0
        self._due = 0.0

    @property
    def held(self) -> bool:
        """Whether the lease has not ended, by this process's own monotonic clock."""
        return self._clock.monotonic() < self._until

    @property
    def due(self) -> float:
        """The monotonic time of the next heartbeat, in seconds."""
        return self._due

    def covers(self, run: HeldRun) -> bool:
        """Tell whether `run` may start: the lease under which it was claimed is still held.

        A later lease of this process does not count: others may have marked the run as lost in between.
        """
        return self.held and run.scheduler_id == self.scheduler_id

    def acquire(self) -> None:
        """Write a row for this process, with a new id, and hold the lease."""
        beat, now = self._clock.monotonic(), self._clock.now()
        hostname = socket.gethostname()
        self.scheduler_id = f"{hostname[:100]}-{os.getpid()}-{secrets.token_hex(4)}"
        log_context.set_for_process(scheduler=self.scheduler_id)
        Scheduler.objects.create(
            id=self.scheduler_id, hostname=hostname[:100], pid=os.getpid(), version=__version__,
            zone_data=used_data().version, broker=broker_name(conf.CELERY_BROKER_URL),
            threads=self._threads, processes=self._processes, started_at=now, heartbeat_at=now,
            lease_until=now + timedelta(seconds=LEASE_SECONDS), drained_at=now if self.drained else None,
        )  # fmt: skip
        self._extend(beat)

    def renew(self, *, queued: int, running: int, skew: float = 0.0, memory: int | None = None) -> bool:
        """Write a heartbeat; return whether the lease is still its own.

        False means that another scheduler ended the lease and marked the runs as lost: `acquire` a new one.

        Args:
            queued: the number of queued runs.
            running: the number of running runs.
            skew: the seconds by which the machine's clock is ahead of the database's.
            memory: the bytes of memory that this process holds; None if that is not known.
        """
        beat, now = self._clock.monotonic(), self._clock.now()
        row = Scheduler.objects.filter(pk=self.scheduler_id, stopped_at__isnull=True)
        values = {
            "heartbeat_at": now, "lease_until": now + timedelta(seconds=LEASE_SECONDS),
            "queued_runs": queued, "running_runs": running, "clock_skew": skew, "memory": memory,
        }  # fmt: skip
        # Nearly always as before: then the write is the only statement.
        kept = row.filter(drained_at__isnull=not self.drained).update(**values)
        if not kept and (kept := row.update(**values)):
            self.drained = not self.drained
            logger.info("drained" if self.drained else "claiming again", extra={"action": "scheduler_drained"})
        if kept:
            self._extend(beat)
        return bool(kept)

    def release(self) -> None:
        """Record that this process has stopped."""
        self._until = 0.0
        Scheduler.objects.filter(pk=self.scheduler_id, stopped_at__isnull=True).update(
            stopped_at=self._clock.now(), queued_runs=0, running_runs=0
        )

    def _extend(self, beat: float) -> None:
        # From before the write, so that the lease ends here no later than in the eyes of others.
        self._until, self._due = beat + LEASE_SECONDS, beat + HEARTBEAT_SECONDS


class Releases:
    """Runs that the scheduler took and cannot start: it gives them back, for any scheduler to take.

    Any thread may `add` runs. The loop gives them back, and forgets them once that is written.
    """

    def __init__(self) -> None:
        """Start without runs."""
        self._runs: deque[HeldRun] = deque()

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._runs)

    def add(self, runs: Iterable[HeldRun]) -> None:
        """Add runs to be given back."""
        self._runs.extend(runs)

    def give_back(self, scheduler_id: str, now: datetime) -> None:
        """Give the runs back. If the database raises an error, it is raised, and the runs are kept."""
        runs = list(self._runs)
        if runs:
            admission.give_back(scheduler_id, [run.id for run in runs], now)
        for _ in runs:
            self._runs.popleft()

    def reconcile(self, scheduler_id: str, known: set[int], now: datetime) -> set[int]:
        """Give back, or mark as lost, the runs that only the database has; return the ids of all that it has.

        `known` has the ids of the runs that this scheduler knows to be its own. Of the others, those that are queued
        were claimed, and the answer was lost with the connection: any scheduler may start them. Those that are running
        have ended: after a restore, or a failover, the database has forgotten how.
        """
        known = known | {run.id for run in self._runs}
        held = admission.held_runs(scheduler_id)
        orphans = held.keys() - known
        admission.give_back(scheduler_id, [run_id for run_id in orphans if held[run_id] == RunStatus.QUEUED], now)
        if ended := [run_id for run_id in orphans if held[run_id] == RunStatus.RUNNING]:
            recovery.lose([scheduler_id], recovery.FORGOTTEN, now, only=ended, skip_locked=True)
        return set(held)
