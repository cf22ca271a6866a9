"""Messages to workers: their content, malformed ones, and the gate of a busy worker."""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import uuid4

import pytest
from amqp.exceptions import ChannelError
from kombu import Connection
from kombu.transport.memory import Channel

from jobs.scheduler.broker import TASK, message_of, read_message
from jobs.scheduler.executors.celery import CeleryTransport, Confirmations
from jobs.scheduler.store.dispatch import Dispatch
from jobs.worker.consumer import Gate, PullGate, PushGate

DISPATCH = uuid4().hex
HEADERS = {"task": TASK, "id": DISPATCH}


def body(**message: Any) -> list[Any]:
    return [[], {**message_of(7, DISPATCH), **message}, {}]


def test_a_message_names_a_run_and_a_dispatch_and_holds_no_work() -> None:
    assert message_of(7, DISPATCH).keys() == {"v", "run", "dispatch"}
    assert read_message(HEADERS, body()) == (7, DISPATCH)


@pytest.mark.parametrize(
    ("headers", "content", "why"),
    [
        (None, body(), "does not ask for the task"),
        ({"task": "os.system"}, body(), "does not ask for the task"),
        (HEADERS, {}, "is not [args, kwargs, embed]"),
        (HEADERS, [[], [], {}], "is not [args, kwargs, embed]"),
        (HEADERS, body(v=2), "has version 2"),
        (HEADERS, body(v=True), "has version True"),
        (HEADERS, body(v=1.0), "has version 1.0"),
        (HEADERS, body(run="1"), "names no run"),
        (HEADERS, body(run=True), "names no run"),
        (HEADERS, body(run=-1), "names no run"),
        (HEADERS, body(run=2**63), "names no run"),
        (HEADERS, body(dispatch="; DROP TABLE"), "names no dispatch"),
        (HEADERS, body(dispatch=None), "names no dispatch"),
        (HEADERS, body(dispatch=[]), "names no dispatch"),
    ],
)
def test_a_malformed_message_is_refused_with_the_reason(headers: Any, content: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("[", r"\[").replace("]", r"\]")):
        read_message(headers, content)


class Message:
    """A message that notes what becomes of it."""

    def __init__(self, run_id: int) -> None:
        """Ask for a run."""
        self.headers, self.fate = HEADERS, "kept"
        self.run_id, self.delivery_tag = run_id, "tag"
        self.channel = self.qos = self
        self.appended: list[str] = []

    def append(self, message: Any, tag: str) -> None:
        """Note that it counts as not acknowledged."""
        self.appended.append(tag)

    def decode(self) -> Any:
        """Return the body."""
        return body(run=self.run_id)

    def ack_log_error(self, logger: Any, errors: Any) -> None:
        """Note it."""
        self.fate = "taken"

    def requeue(self) -> None:
        """Note it."""
        self.fate = "given back"


class Slots:
    """Slots that a test frees."""

    def __init__(self, free: int) -> None:
        """Start with so many free slots."""
        self.free = free
        self.offered: list[int] = []
        self.on_free: Any = None

    def offer(self, dispatch: Any) -> bool:
        """Take a run if a slot is free."""
        if not self.free:
            return False
        self.free -= 1
        self.offered.append(dispatch.run_id)
        return True


class Consumer:
    """A consumer, and its own hub."""

    connection_errors = ()

    def __init__(self) -> None:
        """Consume."""
        self.hub = self.task_consumer = self.channel = self.qos = self
        self.consuming = True
        self.no_ack = False
        self.queues: list[Any] = []
        self.can_consume = lambda: True
        self.ready: deque[Any] = deque()
        self.later: deque[Any] = deque()
        self.gate: Any = None

    def call_soon(self, call: Any) -> None:
        """Call with `run_ready`."""
        self.ready.append(call)

    def run_ready(self) -> None:
        """Do what a hub does next."""
        while self.ready:
            self.ready.popleft()()

    def call_later(self, seconds: float, call: Any) -> None:
        """Call when the test says so."""
        self.later.append(call)

    def consume(self) -> None:
        """Go on."""
        self.consuming = True

    def cancel(self) -> None:
        """Stop."""
        self.consuming = False


def opened(free: int, kind: type[Gate] = PushGate) -> tuple[Gate, Slots, Consumer]:
    slots, consumer = Slots(free), Consumer()
    consumer.gate = kind(consumer, slots)  # type: ignore[arg-type]
    consumer.run_ready()
    return consumer.gate, slots, consumer


def test_messages_of_redis_are_fetched_only_while_a_slot_is_free() -> None:
    gate, slots, consumer = opened(2, PullGate)
    assert consumer.no_ack
    gate.on_message(Message(1))
    assert consumer.can_consume()
    gate.on_message(Message(2))
    assert (slots.offered, consumer.can_consume()) == ([1, 2], False)
    slots.free = 1
    slots.on_free()
    assert consumer.ready, "the hub wakes up, and kombu asks again"
    assert (consumer.can_consume(), consumer.consuming) == (True, True)


def test_a_message_of_redis_without_a_slot_is_an_error_of_the_connection() -> None:
    gate, slots, _ = opened(0, PullGate)
    with pytest.raises(RuntimeError, match="although no slot is free"):
        gate.on_message(Message(1))
    assert slots.offered == []


def test_a_message_is_taken_while_a_slot_is_free() -> None:
    gate, slots, consumer = opened(free=1)
    message = Message(1)
    gate.on_message(message)
    assert (message.fate, slots.offered, consumer.consuming) == ("taken", [1], True)


def test_a_message_without_a_slot_gets_the_one_that_is_free_a_moment_later() -> None:
    gate, slots, consumer = opened(free=0)
    message = Message(1)
    gate.on_message(message)
    assert message.fate == "kept"
    slots.free = 1
    slots.on_free()
    consumer.run_ready()
    assert (message.fate, consumer.consuming) == ("taken", True)
    consumer.later.popleft()()
    assert consumer.consuming, "there is nothing to give back"


def test_messages_for_which_no_slot_is_free_are_given_back_and_no_more_are_taken_until_one_is() -> None:
    gate, slots, consumer = opened(free=0)
    messages = [Message(1), Message(2)]
    for message in messages:
        gate.on_message(message)
    (close,) = consumer.later
    close()
    assert ([message.fate for message in messages], consumer.consuming) == (["given back"] * 2, False)
    slots.free = 1
    slots.on_free()
    consumer.run_ready()
    assert consumer.consuming
    assert slots.offered == []


def test_the_gate_of_an_old_connection_does_nothing() -> None:
    gate, slots, consumer = opened(free=0)
    message = Message(1)
    gate.on_message(message)
    consumer.gate = None
    consumer.later.popleft()()
    slots.free = 1
    gate._on_free()
    assert (message.fate, slots.offered, consumer.consuming) == ("kept", [], True)


def test_a_gate_that_has_given_back_its_messages_takes_no_others_however_many_slots_become_free() -> None:
    gate, slots, consumer = opened(free=0)
    messages = [Message(1), Message(2)]
    for message in messages:
        gate.on_message(message)
    consumer.gate = None
    gate.give_back_all()
    slots.free = 2
    slots.on_free()
    consumer.run_ready()
    consumer.later.popleft()()
    assert ([message.fate for message in messages], slots.offered) == (["given back"] * 2, [])


def test_what_goes_over_the_broker_is_the_two_ids_and_the_trace_and_no_more() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    transport = CeleryTransport("memory://")
    assert transport.publish([Dispatch(7, "one", DISPATCH, trace), Dispatch(8, "one", DISPATCH)]) == {}
    with Connection("memory://") as connection:
        first, second = (connection.default_channel.basic_get("one") for _ in range(2))
    assert first.decode()[:2] == [[], message_of(7, DISPATCH)]
    assert read_message(first.headers, first.decode()) == (7, DISPATCH)
    assert (first.headers["traceparent"], second.headers.get("traceparent")) == (trace, None)


class Confirming:
    """A channel of RabbitMQ that answers with what a test has prepared, and then is silent."""

    def __init__(self, *answers: tuple[str, int, bool]) -> None:
        """Answer with `answers`: an event, a number of a message, and whether all before it are meant too."""
        self.answers = deque(answers)
        self.events: Any = {"basic_ack": set(), "basic_nack": set()}
        self.connection = self
        self.confirms = False

    def confirm_select(self) -> None:
        """Note it."""
        self.confirms = True

    def drain_events(self, timeout: float) -> None:
        """Tell the next answer."""
        assert 0 < timeout <= 2
        if not self.answers:
            raise TimeoutError
        event, *answer = self.answers.popleft()
        for listener in self.events[event]:
            listener(*answer)


@pytest.mark.parametrize(
    "answers",
    [
        [("basic_ack", 1, False), ("basic_ack", 2, False), ("basic_ack", 3, False)],
        [("basic_ack", 3, False), ("basic_ack", 2, True)],
        [("basic_ack", 3, True)],
    ],
)
def test_messages_are_sent_once_each_is_confirmed(answers: list[tuple[str, int, bool]]) -> None:
    channel = Confirming(*answers)
    confirmations = Confirmations(channel)
    assert channel.confirms
    confirmations.expect(3)
    confirmations.wait(2)
    assert not channel.answers
    confirmations.expect(1)
    channel.answers.append(("basic_ack", 4, False))
    confirmations.wait(2)
    assert not channel.answers


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([], TimeoutError),
        ([("basic_ack", 2, False), ("basic_ack", 3, False)], TimeoutError),
        ([("basic_ack", 2, True)], TimeoutError),
        ([("basic_ack", 2, True), ("basic_nack", 3, False)], ConnectionError),
        ([("basic_nack", 3, True)], ConnectionError),
    ],
)
def test_messages_are_not_sent_while_one_is_not_confirmed(
    answers: list[tuple[str, int, bool]], error: type[Exception]
) -> None:
    confirmations = Confirmations(Confirming(*answers))
    confirmations.expect(3)
    with pytest.raises(error):
        confirmations.wait(2)


def test_a_queue_that_the_broker_refuses_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    put = Channel._put

    def refuse(channel: Channel, queue: str, message: Any, **options: Any) -> None:
        if queue == "refused":
            raise ChannelError("inequivalent arg")
        put(channel, queue, message, **options)

    monkeypatch.setattr(Channel, "_put", refuse)
    bad, good = Dispatch(7, "refused", DISPATCH), Dispatch(8, "taken", uuid4().hex)
    failed = CeleryTransport("memory://").publish([bad, good])
    assert [(key, type(error)) for key, error in failed.items()] == [(DISPATCH, ChannelError)]
    with Connection("memory://") as connection:
        message = connection.default_channel.basic_get("taken")
    assert read_message(message.headers, message.decode()) == (8, good.dispatch_id)
