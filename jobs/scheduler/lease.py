"""A scheduler's place among the others: its row, its heartbeat and its lease."""

from __future__ import annotations

import logging
import os
import socket
from datetime import timedelta

from .. import __version__
from ..conf import conf
from ..core import log_context
from ..core.brokers import broker_name
from ..core.clock import Clock
from ..core.held import HeldRun
from ..core.runs import new_holder
from ..core.zone_data import used_data
from ..models import Scheduler
from .lease_time import LEASE_SECONDS, LeaseTime

logger = logging.getLogger("cronzimus.scheduler.lease")


class Lease(LeaseTime):
    """The right of this process to start and to finish the runs that it claimed.

    The executors' threads ask for it before each start. A process that was stopped for longer than its lease, or that
    could not reach the database, starts nothing: another scheduler may have marked its runs as lost.
    """

    def __init__(self, clock: Clock, threads: int, processes: int) -> None:
        """Prepare the lease of a scheduler with so many threads and processes; `acquire` takes it."""
        super().__init__(clock)
        self.scheduler_id = ""
        self.drained = False
        """Whether a person has drained this scheduler, as of the last heartbeat."""
        self._threads = threads
        self._processes = processes

    def covers(self, run: HeldRun) -> bool:
        """Tell whether `run` may start: the lease under which it was claimed is still held.

        A later lease of this process does not count: others may have marked the run as lost in between.
        """
        return self.held and run.scheduler_id == self.scheduler_id

    def acquire(self) -> None:
        """Write a row for this process, with a new id, and hold the lease."""
        beat, now = self._clock.monotonic(), self._clock.now()
        hostname = socket.gethostname()[:100]
        self.scheduler_id = new_holder(hostname, os.getpid())
        log_context.set_for_process(scheduler=self.scheduler_id)
        Scheduler.objects.create(
            id=self.scheduler_id, hostname=hostname, pid=os.getpid(), version=__version__,
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
        self.until = 0.0
        Scheduler.objects.filter(pk=self.scheduler_id, stopped_at__isnull=True).update(
            stopped_at=self._clock.now(), queued_runs=0, running_runs=0
        )
