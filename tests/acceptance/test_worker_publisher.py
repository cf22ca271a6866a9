"""The publisher and a real broker: what the broker refuses, or does not confirm, counts as not sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from uuid import uuid4

import pytest

from jobs.scheduler.broker import TIMEOUT_SECONDS
from jobs.scheduler.executors.celery import CeleryTransport, MessageRefused
from jobs.scheduler.store.dispatch import Dispatch

from .brokers import URLS, Broker, Proxy, proxy, reached
from .worker_site import IN_TIME

pytestmark = IN_TIME
PATIENCE = 15
"""Seconds that nobody waits for a broker that does not answer, although the machine stalls."""
BROKERS = list(URLS)


@pytest.fixture
def make_broker() -> Iterator[Callable[[str], Broker]]:
    """Return a function that makes a queue of the test's own on a broker."""
    made: list[Broker] = []

    def make(name: str) -> Broker:
        made.append(Broker(reached(name)))
        return made[-1]

    yield make
    for one in made:
        one.drop()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[Broker], Proxy]]:
    """Return a function that makes a proxy in front of a broker."""
    with ExitStack() as stack:
        yield lambda broker: stack.enter_context(proxy(*broker.address))


def dispatches(broker: Broker, count: int = 1) -> list[Dispatch]:
    return [Dispatch(number, broker.queue, uuid4().hex) for number in range(1, count + 1)]


def publish(transport: CeleryTransport, wanted: list[Dispatch]) -> Mapping[str, Exception]:
    """Publish messages; again where a stall made the broker's answer come too late."""
    for _ in range(3):
        began = time.monotonic()
        failed = transport.publish(wanted)
        if not failed or time.monotonic() - began < TIMEOUT_SECONDS:
            break
    return failed


@pytest.mark.usefixtures("patient_publisher")
@pytest.mark.parametrize("name", BROKERS)
def test_messages_that_the_broker_has_are_sent(make_broker: Callable[[str], Broker], name: str) -> None:
    broker = make_broker(name)
    transport = CeleryTransport(broker.url)
    for count in (1, 50):
        assert transport.publish(dispatches(broker, count)) == {}
    assert broker.waiting() == 51
    transport.close()


@pytest.mark.usefixtures("patient_publisher")
def test_messages_that_rabbitmq_refuses_count_as_not_sent(make_broker: Callable[[str], Broker]) -> None:
    broker = make_broker("rabbitmq")
    transport = CeleryTransport(broker.url)
    assert transport.publish(dispatches(broker)) == {}
    # A full queue answers with a nack. The transport has declared the queue already, and does so no more.
    broker.drop()
    broker.declare(arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    wanted = dispatches(broker, 3)
    failed = transport.publish(wanted)
    assert failed.keys() == {one.dispatch_id for one in wanted}, "each of them may be the refused one"
    assert {(type(error), str(error)) for error in failed.values()} == {(MessageRefused, "it refused a message")}
    assert broker.waiting() == 1
    other = make_broker("rabbitmq")
    assert transport.publish([*dispatches(other), *wanted]).keys() == failed.keys(), (
        "another queue does not wait for it"
    )
    assert other.waiting() == 2, "sent with the others, and again by itself"
    broker.drop()
    assert transport.publish(wanted) == {}, "the next call has a new connection"
    assert broker.waiting() == 3
    transport.close()


@pytest.mark.parametrize("name", BROKERS)
def test_messages_to_a_broker_that_falls_silent_count_as_not_sent(
    make_broker: Callable[[str], Broker], make_proxy: Callable[[Broker], Proxy], name: str
) -> None:
    broker = make_broker(name)
    between = make_proxy(broker)
    transport = CeleryTransport(broker.through(between.port))
    assert publish(transport, dispatches(broker)) == {}
    between.silence()
    wanted = dispatches(broker, 3)
    began = time.monotonic()
    failed = transport.publish(wanted)
    assert failed.keys() == {one.dispatch_id for one in wanted}
    assert time.monotonic() - began < PATIENCE
    between.restore()
    assert publish(transport, wanted) == {}
    transport.close()


@pytest.mark.parametrize("name", BROKERS)
@pytest.mark.parametrize("how", ["silence", "refuse"])
def test_a_broker_that_is_away_from_the_start_holds_up_nobody_for_long(
    make_broker: Callable[[str], Broker], make_proxy: Callable[[Broker], Proxy], name: str, how: str
) -> None:
    broker = make_broker(name)
    between = make_proxy(broker)
    getattr(between, how)()
    transport = CeleryTransport(broker.through(between.port))
    (one,) = dispatches(broker)
    began = time.monotonic()
    assert transport.publish([one]).keys() == {one.dispatch_id}
    assert time.monotonic() - began < PATIENCE
    between.restore()
    assert publish(transport, [one]) == {}
    assert broker.waiting() >= 1
    transport.close()
