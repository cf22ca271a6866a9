"""The guard of a worker: messages are refused before anybody decompresses or decodes them."""

from __future__ import annotations

import base64
import json
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from amqp.serialization import dumps
from amqp.spec import Basic
from kombu import message as kombu_message

from jobs.worker.guard import MAX_BYTES, RabbitMessage, RedisMessage, drop, guard_rabbitmq, guard_redis

HEADERS = {"task": "cronzimus.run"}
JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


class BrokerError(Exception):
    """An error of the broker."""


def received(kind: str, body: bytes = b"[]", headers: Any = HEADERS, **properties: Any) -> Any:
    """Return a message as the transport of a broker makes it."""
    types = {**JSON, **properties}
    if kind == "rabbitmq":
        raw = SimpleNamespace(
            body=body, delivery_tag=1, delivery_info={}, properties={**types, "application_headers": headers}
        )
        return RabbitMessage(raw)
    payload = {
        "body": base64.b64encode(body).decode(), "headers": headers,
        "content-type": types["content_type"], "content-encoding": types["content_encoding"],
        "properties": {"delivery_tag": "1", "body_encoding": "base64"},
    }  # fmt: skip
    return RedisMessage(payload, channel=SimpleNamespace(decode_body=lambda body, encoding: base64.b64decode(body)))


BOTH = pytest.mark.parametrize("kind", ["redis", "rabbitmq"])


@BOTH
def test_a_message_of_ours_is_taken(kind: str) -> None:
    assert received(kind).errors == []
    assert received(kind, b"[" + b" " * (MAX_BYTES - 2) + b"]").decode() == []


@BOTH
@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"headers": {**HEADERS, "compression": "application/x-gzip"}}, "it is compressed"),
        ({"headers": {**HEADERS, "compression": [1]}}, "it is compressed"),
        ({"body": b" " * (MAX_BYTES + 1)}, f"it has {MAX_BYTES + 1} bytes, and {MAX_BYTES} are read"),
        ({"content_type": "application/x-yaml"}, "it is not JSON in UTF-8"),
        ({"content_encoding": "punycode"}, "it is not JSON in UTF-8"),
        ({"content_encoding": None}, "it is not JSON in UTF-8"),
    ],
)
def test_another_one_is_refused_before_it_is_decompressed(
    kind: str, changed: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kombu_message, "decompress", lambda *args: pytest.fail("it was decompressed"))
    ((_, error, _),) = received(kind, **changed).errors
    assert str(error) == why


def test_a_dropped_message_takes_one_short_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"task": "x" * 10_000_000, "more": list(range(100_000)), "nested": {"a": {"b": {"c": {}}}}}
    rejected: list[bool] = []
    message = SimpleNamespace(headers=headers, body=memoryview(b"y" * 10_000_000), reject=lambda: rejected.append(True))
    drop(message, ValueError("z" * 10_000_000))
    (line,) = caplog.messages
    assert line.startswith("dropped a message: zzz")
    assert (len(line) < 1_000, rejected) == (True, [True])


# --- the frames of RabbitMQ ------------------------------------------------------------------------------------------


def method(signature: tuple[int, int], routing_key: bytes = b"reports") -> bytes:
    return struct.pack(">HH", *signature) + dumps("sLbss", ["tag", 7, False, "", routing_key])


def guarded_frames(on_inbound_method: Any) -> Any:
    """Return what handles the frames of a connection."""
    connection = SimpleNamespace(bytes_recv=0, on_inbound_method=on_inbound_method)
    guard_rabbitmq(SimpleNamespace(connection=connection))
    return connection.on_inbound_frame


@pytest.mark.parametrize("size", [0, 2])
def test_a_message_whose_properties_cannot_be_decoded_is_delivered_as_such(size: int) -> None:
    delivered: list[Any] = []
    on_frame = guarded_frames(lambda *args: delivered.append(args))
    for _ in range(2):
        on_frame((1, 1, method(Basic.Deliver, b"\xff\xfe")))
        on_frame((2, 1, struct.pack(">HHQ", 60, 0, size) + b"\x80\x00\x02\xff\xfe"))
        if size:
            assert on_frame((3, 1, b"[]"))
    assert [(args[:2], args[3].content_type) for args in delivered] == [((1, Basic.Deliver), "unreadable")] * 2
    assert {args[2] for args in delivered} == {method(Basic.Deliver, b"")}, "nobody reads the routing key"


def test_an_error_while_a_message_is_delivered_is_raised_and_the_message_comes_once() -> None:
    delivered: list[Any] = []

    def refuse(*args: Any) -> None:
        delivered.append(args)
        raise BrokerError

    on_frame = guarded_frames(refuse)
    on_frame((1, 1, method(Basic.Deliver)))
    with pytest.raises(BrokerError):
        on_frame((2, 1, struct.pack(">HHQ", 60, 0, 0) + b"\x00\x00"))
    assert len(delivered) == 1


# --- the items of Redis ----------------------------------------------------------------------------------------------


def guarded_reader(reply: Any, deliver: Any) -> Any:
    """Return what reads an item from Redis, which answers `reply`."""

    def answer(*args: Any) -> Any:
        if isinstance(reply, Exception):
            raise reply
        return reply

    channel = SimpleNamespace(client=SimpleNamespace(parse_response=answer))

    def read() -> bool:
        deliver(json.loads(channel.client.parse_response(None, "BRPOP")[1]))
        return True

    channel.handlers = {"BRPOP": read}
    guard_redis(channel, (BrokerError, KeyError))
    return channel.handlers["BRPOP"]


@pytest.mark.parametrize("item", [b"no json", b"{}", b'"' + b"x" * MAX_BYTES + b'"'])
def test_an_item_that_is_no_message_is_dropped(item: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert guarded_reader((b"reports", item), lambda message: message["properties"])()
    (line,) = caplog.messages
    assert line.startswith("dropped a message: ")
    assert len(line) < 1_000


@pytest.mark.parametrize("reply", [KeyError("an old socket"), BrokerError("WRONGTYPE"), (b"reports", b"{}")])
def test_an_error_of_redis_itself_is_raised(reply: Any, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(message: Any) -> None:
        raise BrokerError("it cannot be given back")

    with pytest.raises((BrokerError, KeyError)):
        guarded_reader(reply, refuse)()
    assert caplog.messages == []
