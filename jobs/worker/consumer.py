"""The consumer of our Celery workers: it drops malformed messages, and takes no more than it has slots for."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from typing import Any

from ..scheduler.broker import read_message
from ..scheduler.store.dispatch import Dispatch
from .guard import drop, guard_rabbitmq, guard_redis
from .reconnecting import ReconnectingConsumer, pause
from .refused_queues import QUEUE_RECHECK_SECONDS, RefusedQueues
from .slots import Slots

logger = logging.getLogger("cronzimus.worker")

# Redis may hand over one more message when the worker stops. kombu gives it back, and warns of that.
logging.getLogger("kombu.transport.virtual.base").addFilter(lambda record: "No consumers" not in str(record.msg))

HOLD_SECONDS = 0.05
"""Time for which a message waits for a slot: short runs end within it. Then other workers may have the message."""

REST_SECONDS = 1.0
"""Time without a connection after the broker refused something that is no queue."""


class GatedConsumer(ReconnectingConsumer):
    """A consumer whose messages go to our slots, past Celery's pool. No message can end the worker."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Leave out the steps in which workers exchange messages through the broker: our workers have rows."""
        quiet = {"without_mingle": True, "without_gossip": True, "without_heartbeat": True}
        # RabbitMQ sends a message ahead of its acknowledgement, and no more: each may have to be given back.
        super().__init__(*args, **{**options, **quiet, "initial_prefetch_count": 1})
        self._refused = RefusedQueues(self.app, lambda names: self.controller.cronzimus_slots.serve(names))
        self._is_refused = False
        self.gate: Gate | None = None
        self._loop: Any = self.loop
        self.loop: Any = self._guarded_loop

    def _guarded_loop(self, *args: Any) -> Any:
        """Consume. An error that nobody foresaw ends the connection, and not the worker: Celery connects again."""
        try:
            return self._loop(*args)
        except (*self.connection_errors, *self.channel_errors):
            raise  # Celery connects again
        except Exception as error:
            logger.exception("connecting again after %r", error, extra={"action": "consumer_failed"})
            raise ConnectionResetError("the consumer failed") from error

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Tidy up after a connection. Errors of a channel are the broker's refusals."""
        self._is_refused = isinstance(exc, self.channel_errors)
        super().on_connection_error_after_connected(exc)

    def connect(self) -> Any:
        """Return a new connection. After a refusal, its consumer leaves out the queues that the broker refuses."""
        self.hub.on_tick.clear()  # kombu leaves one call behind for each lost connection to Redis; there are no others
        connection = super().connect()
        if self._is_refused or self._refused:
            try:
                self._refused.leave_out(connection)
            except self.connection_errors:
                connection.collect()
                raise
            if self._refused:
                # Celery ends it with the connection.
                self.hub.call_repeatedly(QUEUE_RECHECK_SECONDS, self._refused.look_again)
            elif self._is_refused:
                pause(time.monotonic() + REST_SECONDS)
            self._is_refused = False
        return connection

    def create_task_handler(self, *args: Any, **options: Any) -> Any:
        """Return the handler of messages for a new connection. Messages held for the old one are void."""
        is_redis = self.connection.transport.driver_type == "redis"
        if is_redis:
            guard_redis(self.task_consumer.channel, (*self.connection_errors, *self.channel_errors))
        else:
            guard_rabbitmq(self.task_consumer.channel)
        self.gate = (PullGate if is_redis else PushGate)(self, self.controller.cronzimus_slots)
        return self.gate.on_message

    def stop(self) -> None:
        """Take no more messages, and give back those that have no slot: running runs may take half a minute."""
        super().stop()
        # From now on the gate does nothing: Celery calls what the hub still has to call when all runs have ended.
        gate, self.gate = self.gate, None
        if gate is not None:
            with suppress(Exception):  # the connection is gone, and with it what RabbitMQ had delivered
                gate.give_back_all()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop a message that cannot be read."""
        drop(message, exc)


class Gate(ABC):
    """Takes messages while a slot is free, and none while all are busy.

    Celery's own limit counts unacknowledged messages only. With early acknowledgement, a busy worker would take
    messages that an idle one could start at once.
    """

    def __init__(self, consumer: GatedConsumer, slots: Slots) -> None:
        """Take messages from the connection of `consumer` for `slots`."""
        self._consumer, self._slots = consumer, slots
        slots.on_free = self._tell_free

    def on_message(self, message: Any) -> None:
        """Start the run that a message asks for, where a slot is free."""
        try:
            run_id, dispatch_id = read_message(message.headers, message.decode())
        except Exception as error:
            drop(message, error)
        else:
            self._take(message, Dispatch(run_id, "", dispatch_id))

    @abstractmethod
    def _take(self, message: Any, dispatch: Dispatch) -> None:
        """Start the run of a message, or do something else with it if no slot is free."""

    @abstractmethod
    def give_back_all(self) -> None:
        """Give back the messages that have no slot."""

    def _tell_free(self) -> None:
        # Called by a slot's thread; the hub calls `_on_free` in its own.
        with suppress(Exception):  # it has ended
            self._consumer.hub.call_soon(self._on_free)

    @abstractmethod
    def _on_free(self) -> None:
        """Act on a slot that has become free."""


class PullGate(Gate):
    """The gate of queues on Redis: kombu asks for the next message only while a slot is free.

    So a message leaves its queue as it is fetched, which saves four commands for each.
    """

    def __init__(self, consumer: GatedConsumer, slots: Slots) -> None:
        """Have messages leave their queues when they are fetched."""
        super().__init__(consumer, slots)
        consumer.task_consumer.no_ack = True
        self._channel = consumer.task_consumer.channel
        # To cancel and consume again would make kombu ask for the queues in their first order each time: a queue with
        # many messages would keep the others waiting.
        self._channel.qos.can_consume = lambda: slots.free > 0

    def _take(self, message: Any, dispatch: Dispatch) -> None:
        if not self._slots.offer(dispatch):  # cannot come about: only messages take slots, and one is fetched at a time
            raise RuntimeError("Redis handed over a message although no slot is free")

    def _on_free(self) -> None:
        """Do nothing: the hub is awake, and kombu asks `can_consume` each time it wakes up."""

    def give_back_all(self) -> None:
        """Read the answer to the last question, and have kombu give back the message in it: nobody consumes any more.

        This takes as long as the question waits on Redis, a second at most. Nobody else would read the answer.
        """
        if self._channel._in_poll:
            self._channel.handlers["BRPOP"]()


class PushGate(Gate):
    """The gate of queues on RabbitMQ, which sends the next message before anybody asks for it.

    A message without a slot is kept for a moment, because short runs end meanwhile, and then given back. The worker
    stops consuming until a slot is free.
    """

    def __init__(self, consumer: GatedConsumer, slots: Slots) -> None:
        """Keep no message yet."""
        super().__init__(consumer, slots)
        self._is_open = True
        self._waiting: deque[tuple[Any, Dispatch]] = deque()

    def _take(self, message: Any, dispatch: Dispatch) -> None:
        if self._waiting or not self._slots.offer(dispatch):
            if not self._waiting:
                self._consumer.hub.call_later(HOLD_SECONDS, self._close_unless_free)
            self._waiting.append((message, dispatch))
        else:
            message.ack_log_error(logger, self._consumer.connection_errors)

    def _on_free(self) -> None:
        """Start what waits for a slot; if nothing does, consume again."""
        if self._consumer.gate is not self:
            return
        while self._waiting and self._slots.offer(self._waiting[0][1]):
            message, _ = self._waiting.popleft()
            message.ack_log_error(logger, self._consumer.connection_errors)
        if not self._waiting and not self._is_open and self._slots.free:
            self._open()

    def _open(self) -> None:
        self._is_open = True
        consumer = self._consumer.task_consumer
        # The first queue sends first: in one order, one with many messages would keep the others waiting.
        consumer.queues = [*consumer.queues[1:], *consumer.queues[:1]]
        consumer.consume()

    def _close_unless_free(self) -> None:
        """Give back the messages that still have no slot, and take no more until one is free."""
        if self._consumer.gate is self and self._waiting:
            if self._is_open:
                self._is_open = False
                self._consumer.task_consumer.cancel()
            self.give_back_all()

    def give_back_all(self) -> None:
        """Give back the messages that have no slot."""
        while self._waiting:
            message, _ = self._waiting.popleft()
            message.requeue()
