"""The gate of a worker on a real Redis and RabbitMQ: what it has taken from a queue and cannot run goes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from kombu.asynchronous import Hub

from jobs.scheduler.broker import make_app
from jobs.worker.consumer import GatedConsumer, PullGate, PushGate
from jobs.worker.guard import guard_redis
from jobs.worker.reconnecting import RETRY_SECONDS

from .brokers import URLS, Broker, reached
from .support import until
from .worker_site import IN_TIME

pytestmark = IN_TIME


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

    def __init__(self, connection: Any, slots: Slots, brokers: Sequence[Broker]) -> None:
        """Consume from the queues of `brokers` for `slots`."""
        self.hub = Hub()
        self.consumer: Any = GatedConsumer.__new__(GatedConsumer)
        self.consumer.hub, self.consumer.connection_errors = self.hub, connection.connection_errors
        amqp, url = make_app(brokers[0].url).amqp, brokers[0].url
        self.kombu = amqp.TaskConsumer(connection, queues=[amqp.queues[broker.queue] for broker in brokers])
        self.consumer.task_consumer = self.kombu
        self.consumer.blueprint = SimpleNamespace(stop=lambda _: self.kombu.cancel())
        connection.transport.register_with_event_loop(connection.connection, self.hub)
        if url.startswith("redis"):
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

    def turn_for(self, seconds: float) -> None:
        """Run the hub for a while."""
        self.hub.call_later(seconds, lambda: None)
        ends = time.monotonic() + seconds
        self.turn_until(lambda: time.monotonic() >= ends)


@pytest.fixture(params=list(URLS))
def make_broker(request: pytest.FixtureRequest) -> Iterator[Callable[[], Broker]]:
    """Return a function that makes a queue of the test's own, on each broker."""
    url, made = reached(request.param), list[Broker]()

    def make() -> Broker:
        made.append(Broker(url))
        made[-1].declare()
        return made[-1]

    yield make
    for one in made:
        one.drop()


@pytest.fixture
def broker(make_broker: Callable[[], Broker]) -> Broker:
    """A queue of the test's own."""
    return make_broker()


@contextmanager
def dropped_in_the_end(broker: Broker) -> Iterator[None]:
    """Remove the queue of a broker in the end."""
    try:
        yield
    finally:
        broker.drop()


@contextmanager
def taking(slots: Slots, *brokers: Broker) -> Iterator[Taker]:
    """Take messages of `brokers` for `slots`."""
    with make_app(brokers[0].url).connection_for_read() as connection:
        taker = Taker(connection, slots, brokers)
        try:
            yield taker
        finally:
            taker.hub.close()


def test_a_stop_gives_back_at_once_what_the_worker_cannot_run(broker: Broker) -> None:
    dispatch_id = uuid4().hex
    slots = Slots(free=1)
    with taking(slots, broker) as taker:
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
    slots = Slots(free=1)
    with taking(slots, broker) as other:
        other.turn_until(lambda: slots.offered)
        assert slots.offered == [(7, dispatch_id)], "what came back is the same message"


def test_a_queue_with_many_messages_does_not_keep_the_others_of_a_busy_worker_waiting(
    broker: Broker, make_broker: Callable[[], Broker]
) -> None:
    other, slots = make_broker(), Slots(free=1)
    broker.ask_for(1, uuid4().hex, times=10)
    other.ask_for(2, uuid4().hex)
    with taking(slots, broker, other) as taker:
        for _ in range(4):
            taker.turn_until(lambda: not slots.free)
            taker.turn_for(0.2)
            slots.free = 1
            slots.on_free()
        taker.turn_until(lambda: not slots.free)
    assert {run_id for run_id, _ in slots.offered} == {1, 2}


def test_redis_may_close_the_idle_connection_of_a_worker_whose_slots_are_all_busy() -> None:
    broker, slots = Broker(reached("redis")), Slots(free=1)
    broker.ask_for(1, uuid4().hex)
    with dropped_in_the_end(broker), taking(slots, broker) as taker:
        taker.turn_until(lambda: slots.offered)
        client = taker.kombu.channel.client
        host, port = client.connection._sock.getsockname()
        with make_app(broker.url).connection_for_write() as another:
            another.default_channel.client.client_kill(f"{host}:{port}")  # as Redis does by its setting `timeout`
        taker.turn_for(0.3)
        broker.ask_for(2, uuid4().hex)
        slots.free = 1
        slots.on_free()
        taker.turn_until(lambda: len(slots.offered) == 2)
    assert [run_id for run_id, _ in slots.offered] == [1, 2]


def test_a_worker_that_connects_again_to_redis_leaves_nothing_of_the_last_connection_in_its_loop() -> None:
    consumer: Any = GatedConsumer.__new__(GatedConsumer)
    consumer.app, consumer.hub, consumer.amqheartbeat = make_app(reached("redis")), Hub(), None
    consumer._is_refused, consumer._refused = False, {}
    for _ in range(2):
        consumer._connected_at = -RETRY_SECONDS  # without a pause
        with consumer.connect():
            assert len(consumer.hub.on_tick) == 1
    consumer.hub.close()
