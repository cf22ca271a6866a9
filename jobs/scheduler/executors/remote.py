"""Send runs to workers on other machines: after the claim, from a thread of its own, until a broker has them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from math import inf
from typing import Any, Protocol

from django.core.checks import CheckMessage
from django.db import Error, connection

from ...core.capacity import Capacity
from ...core.held import HeldRun
from ...core.retries import Backoff
from ...db.errors import one_line
from ..lease_time import LEASE_SECONDS
from ..store import dispatch, recovery, workers
from ..store.connection import loop_connection
from ..store.dispatch import Dispatch
from ..threads import start_all
from .base import Hooks, RunExecutor

logger = logging.getLogger("cronzimus.scheduler.executors.remote")

SURVEY_SECONDS = 2.0
"""Time between two searches for unpublished and lost messages, and for dead workers."""
FORGET_SECONDS = 3600.0
"""Time between two deletions of the rows of workers that stopped long ago."""
AT_ONCE = 50
"""Messages that are published before that is recorded."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.2, 5.0
"""Time until a queue is tried again that the broker did not take messages for: after the first failure, and at most."""
LAST_SECONDS = 5.0
"""Time for the last messages when the scheduler ends. Other schedulers publish the rest."""


class Transport(Protocol):
    """The carrier of messages to workers. It does not use the database, and makes no decisions."""

    def check(self) -> Sequence[CheckMessage]:
        """Return what Django's system checks say of its packages and settings. It does not connect.

        An error keeps schedulers and workers from starting.
        """

    def connect(self) -> None:
        """Connect, so that the first message need not wait for that. Raises the error of the other side."""

    def publish(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        """Send a message for each dispatch; return the errors of those that may not have been sent, by `dispatch_id`.

        It returns within a few seconds, also if the other side is silent. A message may be sent twice. A queue that
        cannot be sent to keeps no messages for others from being sent.
        """

    def close(self) -> None:
        """Give up the connection. Never raises."""


class RemoteExecutor(RunExecutor):
    """Publishes the runs that the loop has claimed for workers, and holds none of them.

    The row of a run is the outbox (`store.dispatch`): a run that was not published stays there, and every scheduler
    looks for it. Dead workers are found here too, so that a scheduler without workers never looks for them.
    """

    def __init__(self, transport: Transport, hooks: Hooks) -> None:
        """Publish through `transport`."""
        super().__init__()
        self._clock, self._transport = hooks.clock, transport
        self._handed: deque[Dispatch] = deque()
        self._pending: dict[str, Dispatch] = {}
        self._seen: set[str] = set()
        self._bell, self._stopped = threading.Event(), threading.Event()
        # By queue, because a broker may refuse one of them and take messages for the others.
        self._backoffs: dict[str, Backoff] = {}
        self._look_at = self._forget_at = -inf
        self._waits = False
        self._outage_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)

    # --- for the loop ------------------------------------------------------------------------------------------------

    slots = queued = taken = 0

    def held(self) -> set[int]:
        return set()

    def lanes(self) -> Capacity:
        return workers.queue_capacity(self._clock.now())

    def start(self, scheduler: Any, alias: str) -> None:
        """Start the thread. Raises `TooFewThreads` if the system has no room for it."""
        super().start(scheduler, alias)
        start_all([self._thread])

    def submit_all(self, runs: Sequence[HeldRun]) -> None:
        if runs:
            self._handed.extend(Dispatch(run.id, run.queue, run.dispatch_id, run.traceparent or "") for run in runs)
            self._bell.set()

    def take_back(self) -> list[HeldRun]:
        return []

    def take_back_one(self, run_id: int) -> HeldRun | None:
        return None

    def cancel(self, run_id: int, reason: str) -> None:
        """Do nothing: the run's worker sees the request to cancel in the database."""

    def shutdown(self, wait: bool = True) -> None:
        self._stopped.set()
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join(LAST_SECONDS)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._connect()
        with loop_connection():
            while not self._stopped.is_set():
                self._bell.wait(self._wait_seconds())
                self._bell.clear()
                self.step()
            self.step()
        self._transport.close()

    def _connect(self) -> None:
        try:
            self._transport.connect()
        except Exception as error:
            message = "cannot reach the broker, which workers need: %s: %s; it is tried again with the next run"
            extra = {"action": "broker_unreachable"}
            logger.warning(message, type(error).__name__, " ".join(str(error).split()), extra=extra)

    def _wait_seconds(self) -> float:
        queues = {delivery.queue for delivery in self._pending.values()}
        due = min([self._look_at, *(self._retry_at(queue) for queue in queues)])
        return max(0.0, due - self._clock.monotonic())

    def step(self) -> None:
        """Publish pending messages, and look for others if it is time. Never raises.

        A broker that is silent, or refuses one queue after the other, does not put the look off.
        """
        for _ in range(len(self._handed)):
            delivery = self._handed.popleft()
            self._pending[delivery.dispatch_id] = delivery
        try:
            while batch := self._ready():
                self._publish(batch)
                if self._is_time_to_look() and not self._stopped.is_set():
                    break
            if self._is_time_to_look():
                self._look_at = self._clock.monotonic() + SURVEY_SECONDS
                self._look()
                if self._waits:
                    self._waits = False
                    logger.info("runs for workers go on", extra={"action": "publisher_recovered"})
        except Error as error:
            connection.close()
            self._outage_at = self._clock.monotonic()
            level, self._waits = logging.DEBUG if self._waits else logging.WARNING, True
            message, extra = "runs for workers wait for the database: %s", {"action": "publisher_waits"}
            logger.log(level, message, one_line(error), extra=extra)
        except Exception:
            logger.exception("runs for workers could not be published", extra={"action": "publisher_failed"})

    def _is_time_to_look(self) -> bool:
        return self._clock.monotonic() >= self._look_at

    def _ready(self) -> list[Dispatch]:
        """Return the next messages to publish, without those whose queue is tried again later."""
        at = self._clock.monotonic()
        ready = (delivery for delivery in self._pending.values() if self._retry_at(delivery.queue) <= at)
        return list(islice(ready, AT_ONCE))

    def _publish(self, dispatches: Sequence[Dispatch]) -> None:
        failed = self._transport.publish(dispatches)
        sent = [delivery for delivery in dispatches if delivery.dispatch_id not in failed]
        for delivery in sent:
            del self._pending[delivery.dispatch_id]
        errors = {
            delivery.queue: failed[delivery.dispatch_id] for delivery in dispatches if delivery.dispatch_id in failed
        }
        self._try_later(errors)
        self._go_on({delivery.queue for delivery in sent} - errors.keys())
        if sent:
            # If this fails, they are published once more, which does no harm.
            dispatch.mark_published(sent, self._clock.now())

    def _retry_at(self, queue: str) -> float:
        return self._backoffs[queue].retry_at if queue in self._backoffs else -inf

    def _try_later(self, errors: Mapping[str, Exception]) -> None:
        for queue, error in errors.items():
            backoff = self._backoffs.setdefault(queue, Backoff(FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS))
            backoff.failed(self._clock.monotonic())
            waiting = sum(delivery.queue == queue for delivery in self._pending.values())
            level = logging.WARNING if backoff.failures == 1 else logging.DEBUG
            runs = "1 run waits" if waiting == 1 else f"{waiting} runs wait"
            message, extra = "the broker takes no messages for %s: %s: %s; %s for it", {"action": "broker_unreachable"}
            logger.log(level, message, queue, type(error).__name__, error, runs, extra=extra)

    def _go_on(self, queues: set[str]) -> None:
        for queue in queues & self._backoffs.keys():
            del self._backoffs[queue]
            logger.info("the broker takes messages for %s again", queue, extra={"action": "broker_reached"})

    def _look(self) -> None:
        """Take up messages that other schedulers, or an earlier process, left unpublished, and lost ones."""
        # Here and not with the scheduler's heartbeats alone: a jump in between would make living workers look dead.
        self._clock.synchronise()
        now, monotonic = self._clock.now(), self._clock.monotonic()
        found = dispatch.survey(now)
        if found.dead and monotonic - max(self._outage_at, self._clock.jumped_at) > LEASE_SECONDS:
            # After an outage, or a jump, every living worker has had the time to renew its lease.
            recovery.recover_workers(now, self._clock.now)
        if monotonic >= self._forget_at:
            self._forget_at = monotonic + FORGET_SECONDS
            recovery.forget_stopped_workers(now)
        if not found.on_their_way:
            self._seen, self._pending = set(), {}
            return
        left = {delivery.dispatch_id: delivery for delivery in dispatch.unpublished()}
        # While the broker is away, runs are cancelled, or others publish them: they need no message any more.
        self._pending = {key: delivery for key, delivery in self._pending.items() if key in left}
        # The scheduler that claimed a run publishes it within moments: a run that is seen twice was left behind.
        self._pending |= {key: delivery for key, delivery in left.items() if key in self._seen}
        self._seen = set(left)
        self._pending |= {delivery.dispatch_id: delivery for delivery in dispatch.dispatch_again(now)}
        if self._pending:
            self._bell.set()
