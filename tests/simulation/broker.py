"""A broker in the world, its senders and its consumers: messages may be lost, late, doubled or refused."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.checks import CheckMessage

from jobs.scheduler.broker import TASK, message_of
from jobs.scheduler.store.dispatch import Dispatch
from jobs.worker.consumer import Gate, PullGate, PushGate
from jobs.worker.slots import Slots

from .threads import Event, sleep
from .world import World

TIMEOUT_SECONDS = 2.0
"""Time for which a sender waits for a silent broker."""
RECONNECT_SECONDS = 2.0
"""Time after which Celery connects again."""


class Message:
    """A message as kombu hands it over, to one consumer at a time."""

    headers = {"task": TASK}

    def __init__(self, broker: Broker, body: Mapping[str, Any]) -> None:
        """Be on its way in `broker`."""
        self._broker, self.content = broker, body
        self.visible_at = 0.0
        self.consumer: Consumer | None = None

    @property
    def body(self) -> list[Any]:
        return [[], dict(self.content), {}]

    def decode(self) -> list[Any]:
        return self.body

    def ack_log_error(self, *args: object) -> None:
        self._settle()

    reject = ack_log_error

    def requeue(self) -> None:
        """Go back to the head of the queue of RabbitMQ. From one of Redis, messages leave as they are fetched."""
        self._settle()
        self._broker.waiting.insert(0, self)
        self._broker.tell()

    def _settle(self) -> None:
        if self.consumer is not None:
            self.consumer.unacknowledged.pop(self, None)
            self.consumer = None


class Broker:
    """One queue. `ever` has all messages that were ever sent, so that any of them can come again.

    It hands a message over when it is asked for one, as Redis does, or `pushes` it ahead of that, as RabbitMQ does.
    """

    def __init__(self, *, pushes: bool = False) -> None:
        """Have no message."""
        self.pushes = pushes
        self.ever: list[Message] = []
        self.waiting: list[Message] = []
        self.consumers: list[Consumer] = []
        self.away_until = self.hold_until = 0.0
        self.is_silent = False

    def put(self, message: Message) -> None:
        """Take a message, and let the consumers know."""
        self.waiting.append(message)
        self.tell()

    def send(self, body: Mapping[str, Any]) -> None:
        """Take a new message."""
        message = Message(self, body)
        message.visible_at = self.hold_until
        self.ever.append(message)
        self.put(message)

    def repeat(self, which: int) -> None:
        """Have one of the messages that were ever sent arrive once more."""
        self.put(Message(self, self.ever[which % len(self.ever)].content))

    def tell(self) -> None:
        """Have the consumers look."""
        for consumer in self.consumers:
            consumer.bell.set()

    def take(self, now: float) -> Message | None:
        """Return the first message that has arrived."""
        found = next((one for one in self.waiting if one.visible_at <= now), None)
        if found is not None and now >= self.away_until:
            self.waiting.remove(found)
            return found
        return None

    def next_at(self) -> float:
        """Return when there is a message to be taken."""
        return max(self.away_until, min((one.visible_at for one in self.waiting), default=float("inf")))

    def go_away(self, seconds: float, *, silent: bool) -> None:
        """Be out of reach, without an answer where it is `silent`. Unacknowledged messages go back into the queue."""
        self.away_until, self.is_silent = World.current.monotonic + seconds, silent
        for consumer in self.consumers:
            consumer.disconnect()
        self.tell()


class Sender:
    """A transport of the scheduler's."""

    def __init__(self, broker: Broker) -> None:
        """Send to `broker`."""
        self._broker = broker

    def check(self) -> Sequence[CheckMessage]:
        """There is nothing to check."""
        return []

    def connect(self) -> None:
        """There is nothing to connect."""

    def publish(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        """Send messages up to the first that fails."""
        failed: dict[str, Exception] = {}
        for one in dispatches:
            try:
                if failed:
                    raise ConnectionError
                self._send(one)
            except ConnectionError as error:
                failed[one.dispatch_id] = error
        return failed

    def _send(self, one: Dispatch) -> None:
        world = World.current
        if world.monotonic < self._broker.away_until:
            if self._broker.is_silent:
                sleep(TIMEOUT_SECONDS)
            raise ConnectionError
        world.reach("before a message", ConnectionError)
        self._broker.send(message_of(one.run_id, one.dispatch_id))
        world.reach("after a message", ConnectionError)

    def close(self) -> None:
        """There is nothing to close."""


class Consumer:
    """Stands for Celery's consumer, its hub and its channel, which our gate uses."""

    connection_errors = (ConnectionError,)

    def __init__(self, broker: Broker, slots: Slots) -> None:
        """Take messages of `broker` for `slots`."""
        self.hub = self.task_consumer = self.channel = self.qos = self
        self.no_ack = self._in_poll = False
        self.queues: list[str] = []
        self.bell = Event()
        self.unacknowledged: dict[Message, None] = {}
        self._broker, self._slots = broker, slots
        self._is_open, self.can_consume = True, lambda: True
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self.gate: Gate | None = self._make_gate()
        broker.consumers.append(self)

    def disconnect(self) -> None:
        """Lose the connection: unacknowledged messages go back, and the next connection has a gate of its own."""
        for message in list(self.unacknowledged):
            message.consumer = None
            self._broker.waiting.insert(0, message)
        self.unacknowledged.clear()
        self._is_open = True
        self.gate = self._make_gate()

    def _make_gate(self) -> Gate:
        gate = (PushGate if self._broker.pushes else PullGate)(self, self._slots)  # type: ignore[arg-type]
        self._on_message = gate.on_message
        return gate

    def stop(self) -> None:
        """Take no more messages, as `GatedConsumer.stop`."""
        self._is_open = False
        gate, self.gate = self.gate, None
        if gate is not None:
            gate.give_back_all()

    def end(self) -> None:
        """Do what Celery does when the slots have stopped: the hub's last calls, and a last look at the connection."""
        while self._calls:
            heapq.heappop(self._calls)[2]()
        self._take_all()

    def leave(self) -> None:
        """Take no more messages: the process has ended, or is dead."""
        if self in self._broker.consumers:
            self._broker.consumers.remove(self)
            self.disconnect()
            self._broker.tell()

    # --- the hub and the channel, for the gate -----------------------------------------------------------------------

    def call_later(self, seconds: float, call: Callable[[], object]) -> None:
        heapq.heappush(self._calls, (World.current.monotonic + seconds, World.current.number(), call))
        self.bell.set()

    def call_soon(self, call: Callable[[], object]) -> None:
        self.call_later(0.0, call)

    def consume(self) -> None:
        self._is_open = True

    def cancel(self) -> None:
        self._is_open = False

    # --- its loop ----------------------------------------------------------------------------------------------------

    def work(self, is_stopped: Callable[[], bool]) -> None:
        """Take messages until `is_stopped`."""
        while not is_stopped():
            self.bell.wait(max(0.0, self._next_at() - World.current.monotonic))
            self.bell.clear()
            while self._calls and self._calls[0][0] <= World.current.monotonic:
                heapq.heappop(self._calls)[2]()
            self._take_all()
        self.stop()

    def _take_all(self) -> None:
        while (message := self._next()) is not None:
            try:
                World.current.reach("a message", ConnectionError)
                self._on_message(message)
            except ConnectionError:
                self.disconnect()
                sleep(RECONNECT_SECONDS)

    def _next_at(self) -> float:
        at = self._calls[0][0] if self._calls else float("inf")
        return min(at, self._broker.next_at() if self._has_room() else float("inf"), World.current.monotonic + 60.0)

    def _has_room(self) -> bool:
        return self._is_open and self.can_consume() and not self.unacknowledged

    def _next(self) -> Message | None:
        message = self._broker.take(World.current.monotonic) if self._has_room() else None
        if message is not None and not self.no_ack:
            message.consumer = self
            self.unacknowledged[message] = None
        return message
