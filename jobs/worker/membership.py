"""A worker's place among the others: its row, its heartbeat and its lease."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta

from .. import __version__
from ..conf import conf
from ..core import log_context
from ..core.brokers import broker_name
from ..core.clock import Clock
from ..core.runs import new_holder
from ..models import Worker
from ..scheduler.lease_time import LEASE_SECONDS, LeaseTime


class Membership(LeaseTime):
    """The right of this process to run the runs that it has started.

    An ended lease stays ended, because others may have given its runs up. The worker joins again under a new id.
    """

    def __init__(self, clock: Clock, name: str, queues: Sequence[str], slots: int) -> None:
        """Prepare the lease of the worker `name` with so many slots for these queues; `join` takes it."""
        super().__init__(clock)
        self.worker_id = ""
        self.name, self.queues = name, list(queues)
        self.ready, self.is_draining = slots, False
        """The number of slots with a process, and whether the worker was told to stop."""
        self.ahead = 0
        """The number of runs ahead that the row asks for."""

    @property
    def lease_until(self) -> datetime:
        """When the lease ends, by the database's clock."""
        return self._clock.now() + timedelta(seconds=self.until - self._clock.monotonic())

    @property
    def slots(self) -> int:
        """The number of slots that take runs."""
        return 0 if self.is_draining else self.ready

    @property
    def served(self) -> list[str]:
        """The queues that the row names.

        None while no process starts. All while the worker drains: it may be restarted for them.
        """
        return self.queues if self.ready or self.is_draining else []

    def join(self) -> None:
        """Write a row, with a new id, and hold the lease."""
        beat, now = self._clock.monotonic(), self._clock.now()
        hostname = socket.gethostname()[:100]
        worker_id = new_holder(hostname, os.getpid())
        Worker.objects.create(
            id=worker_id, name=self.name[:150], hostname=hostname, pid=os.getpid(), version=__version__,
            broker=broker_name(conf.CELERY_BROKER_URL), queues=self.served, slots=self.slots,
            started_at=now, heartbeat_at=now, lease_until=now + timedelta(seconds=LEASE_SECONDS),
        )  # fmt: skip
        self.worker_id, self.ahead = worker_id, 0
        log_context.set_for_process(worker=worker_id)
        self._extend(beat)

    def renew(self, *, running: int, ahead: int) -> bool:
        """Write a heartbeat; return whether the lease is still this worker's."""
        beat, now = self._clock.monotonic(), self._clock.now()
        queues, slots = self.served, self.slots
        kept = Worker.objects.filter(pk=self.worker_id, stopped_at__isnull=True).update(
            heartbeat_at=now, lease_until=now + timedelta(seconds=LEASE_SECONDS), running_runs=running,
            queues=queues, slots=slots, ahead=ahead,
        )  # fmt: skip
        if kept:
            self.ahead = ahead
            self._extend(beat)
            if (self.served, self.slots) != (queues, slots):  # another thread has changed them meanwhile
                self.due = 0.0
        else:
            self.until = 0.0
        return bool(kept)

    def leave(self) -> None:
        """Give the lease up."""
        self.until = 0.0
        Worker.objects.filter(pk=self.worker_id, stopped_at__isnull=True).update(
            stopped_at=self._clock.now(), running_runs=0, slots=0
        )
