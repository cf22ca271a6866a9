"""A scheduler's place among the others: its row, its heartbeat, and its lease, after which its runs are lost."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from datetime import timedelta

from .. import __version__
from ..core.clock import Clock
from ..models import Scheduler

logger = logging.getLogger("cronzimus.scheduler.lease")

HEARTBEAT = 5.0
"""Seconds between two heartbeats."""
LEASE = 15.0
"""Seconds that a scheduler's hold on its runs counts without a new heartbeat."""


class Lease:
    """The right of this process to start and to finish the runs that it claimed.

    `held` is read by the threads before each start: a process that was stopped for longer than its lease, or that
    could not reach the database, starts nothing that another may have given up for lost.
    """

    def __init__(self, clock: Clock, threads: int, processes: int) -> None:
        """Take part as a scheduler with so many threads and processes, once `acquire` is called."""
        self.scheduler_id = ""
        self._clock = clock
        self._threads = threads
        self._processes = processes
        self._until = 0.0
        self._due = 0.0

    @property
    def held(self) -> bool:
        """Whether the lease has not run out, by this process's own monotonic clock."""
        return self._clock.monotonic() < self._until

    @property
    def due(self) -> float:
        """When the next heartbeat is due, in seconds of the monotonic clock."""
        return self._due

    def acquire(self) -> None:
        """Write a row for this process, and hold the lease."""
        beat, now = self._clock.monotonic(), self._clock.now()
        hostname = socket.gethostname()
        self.scheduler_id = f"{hostname[:100]}-{os.getpid()}-{secrets.token_hex(4)}"
        Scheduler.objects.create(
            id=self.scheduler_id, hostname=hostname[:100], pid=os.getpid(), version=__version__,
            threads=self._threads, processes=self._processes, started_at=now, heartbeat_at=now,
            lease_until=now + timedelta(seconds=LEASE),
        )  # fmt: skip
        self._extend(beat)

    def renew(self, *, queued: int, running: int) -> bool:
        """Write a heartbeat with what this process has queued and running; return whether the row was still its own.

        False means that others gave it up, and its runs with it: it has to `acquire` a new lease.
        """
        beat, now = self._clock.monotonic(), self._clock.now()
        kept = Scheduler.objects.filter(pk=self.scheduler_id, stopped_at__isnull=True).update(
            heartbeat_at=now, lease_until=now + timedelta(seconds=LEASE), queued_runs=queued, running_runs=running
        )
        if kept:
            self._extend(beat)
        return bool(kept)

    def release(self) -> None:
        """Note that this process has stopped."""
        self._until = 0.0
        Scheduler.objects.filter(pk=self.scheduler_id, stopped_at__isnull=True).update(
            stopped_at=self._clock.now(), queued_runs=0, running_runs=0
        )

    def _extend(self, beat: float) -> None:
        # From before the write: the lease ends here no later than the others think it does.
        self._until, self._due = beat + LEASE, beat + HEARTBEAT
