"""The gate of a worker on a real Redis and RabbitMQ: what it has taken from a queue and cannot run goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kombu.asynchronous import Hub

from jobs.scheduler.broker import make_app
from jobs.worker.consumer import GatedConsumer, PullGate, PushGate
from jobs.worker.guard import guard_redis

from .brokers import URLS, Broker, reached
from .support import until


class Slots:
    """Slots that a test frees."""

    def __init__(self, free: int) -> None:
        """Have so many free slots."""
        self.free = free
        self.on_free: Callable[[], None] = lambda: None
        self.offered: list[tuple[int, str]] = []

    def offer(self, dispatch: Any) -> bool:
        """Take a run if a slot is free."""
        if self.free:
            self.free -= 1
            self.offered.append((dispatch.run_id, dispatch.dispatch_id))
            return True
        return False


class Taker:
    """The part of a worker that takes messages: our consumer with its gate, on a connection and a hub of Celery's."""

    def __init__(self, connection: Any, broker: Broker, slots: Slots) -> None:
        """Consume from the queue of `broker` for `slots`."""
        self.hub = Hub()
        self.consumer: Any = GatedConsumer.__new__(GatedConsumer)
        self.consumer.hub, self.consumer.connection_errors = self.hub, connection.connection_errors
        amqp = make_app(broker.url).amqp
        self.kombu = amqp.TaskConsumer(connection, queues=[amqp.queues[broker.queue]])
        self.consumer.task_consumer = self.kombu
        self.consumer.blueprint = SimpleNamespace(stop=lambda _: self.kombu.cancel())
        connection.transport.register_with_event_loop(connection.connection, self.hub)
        if broker.url.startswith("redis"):
            guard_redis(self.kombu.channel, connection.connection_errors)
            self.consumer.gate = PullGate(self.consumer, slots)  # type: ignore[arg-type]
        else:
            self.kombu.qos(prefetch_count=1)
            self.consumer.gate = PushGate(self.consumer, slots)  # type: ignore[arg-type]
        self.kombu.on_message = self.consumer.gate.on_message
        self.kombu.consume()

    def ask_for_a_message(self) -> None:
        """Do what a hub does before it waits: on Redis, ask for the next message. Redis waits for one for a second."""
        for call in self.hub.on_tick:
            call()

    def turn_until(self, is_done: Callable[[], Any]) -> None:
        """Run the hub until something is so."""
        until(lambda: self.hub.run_once() or is_done(), 10)


@pytest.fixture(params=list(URLS))
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A queue of the test's own on each broker."""
    made = Broker(reached(request.param))
    made.declare()
    yield made
    made.drop()


@contextmanager
def taking(broker: Broker, slots: Slots) -> Iterator[Taker]:
    """Take messages of `broker` for `slots`."""
    with make_app(broker.url).connection_for_read() as connection:
        taker = Taker(connection, broker, slots)
        try:
            yield taker
        finally:
            taker.hub.close()


def test_a_stop_gives_back_at_once_what_the_worker_cannot_run(broker: Broker) -> None:
    dispatch_id = uuid4().hex
    slots = Slots(free=1)
    with taking(broker, slots) as taker:
        if broker.url.startswith("redis"):
            taker.ask_for_a_message()
            slots.free = 0
            broker.ask_for(7, dispatch_id)
        else:
            slots.free = 0
            broker.ask_for(7, dispatch_id)
            taker.turn_until(lambda: taker.consumer.gate._waiting)
        taker.consumer.stop()
        assert broker.waiting() == 1
        slots.free = 1
        slots.on_free()
        taker.hub.close()  # as Celery does at the end: it calls what is left
        assert (broker.waiting(), slots.offered) == (1, [])
    with taking(broker, Slots(free=1)) as other:
        slots = other.consumer.gate._slots
        other.turn_until(lambda: slots.offered)
        assert slots.offered == [(7, dispatch_id)], "what came back is the same message"
