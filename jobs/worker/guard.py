"""The guard of a worker: whatever somebody puts into a queue is dropped, and ends neither the worker nor a connection.

kombu and py-amqp decode a message, and decompress it, before the consumer has it. Errors there end the connection, and
RabbitMQ then delivers the message again, to this worker or the next, for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from reprlib import Repr
from typing import Any

from amqp.method_framing import frame_handler
from amqp.serialization import loads
from amqp.spec import Basic
from kombu import message as kombu_message
from kombu.transport import pyamqp, virtual

logger = logging.getLogger("cronzimus.worker")

MAX_BYTES = 65_536
"""The largest message that is decoded. Ours have less than 1 kB."""
LOGGED_CHARACTERS = 200
"""Characters of headers and body of a dropped message that are logged."""
CONTENT_HEADER = 2
"""The type of the frame of AMQP with the size of a message and its properties."""
SIZE_BYTES = 12
"""Bytes at the beginning of such a frame, before the properties."""
UNREADABLE = "unreadable"
"""The content type of a message whose properties cannot be decoded. It has no others."""
PROPERTIES_OF_UNREADABLE = b"\x80\x00" + bytes([len(UNREADABLE)]) + UNREADABLE.encode()

shortened = Repr()
shortened.maxdict, shortened.maxstring, shortened.maxother = 20, 60, 60


class CheckedMessage(kombu_message.Message):
    """A message that is refused before kombu decompresses or decodes it, unless it may be one of ours."""

    def __init__(self, body: Any = None, headers: Any = None, **options: Any) -> None:
        """Note why it is refused: kombu hands a message with errors to `on_decode_error`."""
        self.errors: list[Any] = []
        if problem := _problem(body, headers, options.get("content_type"), options.get("content_encoding")):
            self.errors.append((ValueError, ValueError(problem), None))
        super().__init__(body=body, headers=headers if isinstance(headers, dict) else None, **options)  # type: ignore[no-untyped-call]


class RedisMessage(virtual.Message, CheckedMessage):
    """A message of Redis."""


class RabbitMessage(pyamqp.Message, CheckedMessage):
    """A message of RabbitMQ."""


def _problem(body: Any, headers: Any, content_type: Any, encoding: Any) -> str:
    if content_type == UNREADABLE:
        return "its properties cannot be decoded"
    if isinstance(headers, dict) and headers.get("compression"):
        return "it is compressed"
    if content_type != "application/json" or encoding != "utf-8":
        return "it is not JSON in UTF-8"
    if not isinstance(body, str | bytes | bytearray | memoryview):
        return "it has no body"
    return _too_large(body)


def _too_large(content: Any) -> str:
    return f"it has {len(content)} bytes, and {MAX_BYTES} are read" if len(content) > MAX_BYTES else ""


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


def guard_rabbitmq(channel: Any) -> None:
    """Have the consumers of `channel`, one of py-amqp, get every message, also if its properties cannot be decoded."""
    channel.Message = RabbitMessage
    channel.auto_decode = False  # the sender chooses the encoding, and some take hours
    channel.connection.on_inbound_frame = _frame_handler(channel.connection)


def _frame_handler(connection: Any) -> Callable[[Any], bool]:
    """Return py-amqp's handler of frames, for which nothing that a sender chooses is an error of the connection."""
    complete: list[tuple[Any, ...]] = []
    handle = frame_handler(connection, lambda *method: complete.append(method))

    def on_frame(frame: Any) -> bool:
        kind, channel_id, content = frame
        try:
            handle(frame)
        except Exception:
            if kind != CONTENT_HEADER:
                raise
            handle((kind, channel_id, bytes(content[:SIZE_BYTES]) + PROPERTIES_OF_UNREADABLE))
        if not complete:
            return False
        channel_id, method, arguments, message = complete.pop()
        connection.on_inbound_method(channel_id, method, _decodable(method, arguments), message)
        return True

    return on_frame


def _decodable(method: Any, arguments: Any) -> Any:
    """Return the arguments of a method, and those of a delivery without names that cannot be decoded."""
    if method == Basic.Deliver:
        try:
            loads("sLbss", arguments, 4)
        except UnicodeDecodeError:  # the exchange or the routing key; the others are the broker's
            _, end = loads("sLb", arguments, 4)
            return bytes(arguments[:end]) + b"\0\0"
    return arguments


# --- Redis -----------------------------------------------------------------------------------------------------------


def guard_redis(channel: Any, errors: tuple[type[Exception], ...]) -> None:
    """Have `channel`, one of kombu's for Redis, drop items that are not messages. `errors` are those of the broker."""
    channel.Message = RedisMessage
    client, read = channel.client, channel.handlers["BRPOP"]
    fetch = client.parse_response
    fetched: list[Any] = []
    # kombu counts KeyError among the errors of a connection. An item without a key that kombu reads raises it, too.
    errors = tuple(error for error in errors if error is not KeyError)

    def fetch_and_note(connection: Any, command: str, **options: Any) -> Any:
        reply = fetch(connection, command, **options)
        if command == "BRPOP" and reply:
            fetched.append(reply[1])
            if problem := _too_large(reply[1]):
                raise ValueError(problem)
        return reply

    def read_or_drop() -> Any:
        fetched.clear()
        try:
            return read()
        except Exception as error:
            if not fetched or isinstance(error, errors):
                raise
            log_dropped(error, f"it is {_short(fetched[0])}")
            return True

    client.parse_response, channel.handlers["BRPOP"] = fetch_and_note, read_or_drop


# --- what is dropped -------------------------------------------------------------------------------------------------


def drop(message: Any, error: Exception) -> None:
    """Take a message off its queue for good, and log why."""
    log_dropped(error, f"headers {_short(message.headers)}, body {_short(message.body)}")
    with suppress(Exception):  # the connection is gone, so the message will come again
        message.reject()


def log_dropped(error: Exception, content: str) -> None:
    """Log that something was dropped, and why."""
    logger.error("dropped a message: %.200s; %s", error, content, extra={"action": "message_dropped"})


def _short(value: Any) -> str:
    if isinstance(value, str | bytes | bytearray | memoryview):
        start = value[:LOGGED_CHARACTERS]
        return repr(bytes(start) if isinstance(start, memoryview) else start)
    return shortened.repr(value)[:LOGGED_CHARACTERS]
