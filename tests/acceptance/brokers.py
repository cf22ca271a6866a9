"""Brokers for the tests of workers: a test's own queues on a real Redis and RabbitMQ, and a proxy in between."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import amqp

from tests.conftest import skip_or_fail
from tests.waiting import until

URLS = {
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9"),
    "rabbitmq": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}
"""The brokers by name."""
numbers = itertools.count(1)


class Broker:
    """A queue of its own on a broker."""

    def __init__(self, url: str) -> None:
        """Use the broker at `url`."""
        self.url = url
        self.queue = f"test-{os.getpid()}-{next(numbers)}-{uuid4().hex[:6]}"

    def through(self, port: int) -> str:
        """Return the URL through a proxy on `port`."""
        parts = urlsplit(self.url)
        user = f"{parts.username or ''}:{parts.password or ''}@" if parts.username or parts.password else ""
        return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or (5672 if parts.scheme == "amqp" else 6379)

    def send(self, body: Any, headers: Any = None, times: int = 1, **properties: Any) -> None:
        """Put a message of any shape into the queue."""
        with self._producer() as producer:
            for _ in range(times):
                producer.publish(body, routing_key=self.queue, exchange="", headers=headers or {}, **properties)

    def declare(self, arguments: Any = None) -> None:
        """Make the queue, with `arguments` of RabbitMQ."""
        from kombu import Queue

        with self._connection() as connection:
            channel = connection.default_channel
            Queue(self.queue, routing_key=self.queue, queue_arguments=arguments, channel=channel).declare()

    def send_properties(self, *properties: bytes) -> None:
        """Put messages with such properties, as AMQP encodes them, into a queue of RabbitMQ."""
        with self._connection() as connection:
            for encoded in properties:
                message = amqp.Message("[[], {}, {}]")
                message._serialize_properties = lambda encoded=encoded: encoded
                connection.default_channel.basic_publish(message, routing_key=self.queue)

    def send_by_routing_key(self, key: bytes) -> None:
        """Put a message for nothing into a queue of RabbitMQ, through an exchange that takes every routing key."""
        with self._connection() as connection:
            channel, exchange = connection.default_channel, f"{self.queue}-all"
            channel.exchange_declare(exchange, "fanout", auto_delete=True)
            channel.queue_bind(self.queue, exchange)
            channel.basic_publish(amqp.Message("[[], {}, {}]"), exchange, key)
            channel.exchange_delete(exchange)

    def refuse(self) -> None:
        """Put something else in the place of the queue: a text, or a queue of another type."""
        self.drop()
        if self.url.startswith("redis"):
            with self._connection() as connection:
                connection.default_channel.client.set(self.queue, "a text")
        else:
            self.declare({"x-queue-type": "quorum"})

    def push(self, *items: bytes) -> None:
        """Put an item that is not a message into a queue of Redis."""
        with self._connection() as connection:
            connection.default_channel.client.lpush(self.queue, *items)

    def ask_for(self, run_id: int, dispatch_id: str, times: int = 1) -> None:
        """Put the message for a run into the queue, once more."""
        from jobs.scheduler.broker import make_app, message_of

        app = make_app(self.url)
        with app.connection_for_write() as connection:
            producer = app.amqp.Producer(connection)
            for _ in range(times):
                app.send_task(
                    "cronzimus.run", kwargs=message_of(run_id, dispatch_id), queue=self.queue, producer=producer,
                    task_id=dispatch_id,
                )  # fmt: skip

    def waiting(self) -> int:
        """Return the number of messages that nobody has taken off the queue."""
        with self._connection() as connection:
            channel = connection.default_channel
            if hasattr(channel, "client"):  # Redis, where an empty queue does not exist
                return int(channel.client.llen(self.queue))
            return int(channel.queue_declare(self.queue, passive=True).message_count)

    def consumers(self) -> int:
        """Return the number of consumers of a queue of RabbitMQ."""
        with self._connection() as connection:
            return int(connection.default_channel.queue_declare(self.queue, passive=True).consumer_count)

    def purge(self) -> int:
        """Take all messages out of the queue; return how many there were."""
        with self._connection() as connection:
            found = connection.default_channel.queue_purge(self.queue)
        return int(found or 0)

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Take a message off a queue of Redis and keep it unacknowledged; yield a function that makes Redis deliver it
        again.

        Each consumer does that now and then with messages older than the visibility timeout, an hour.
        """
        with self._connection() as connection:
            channel = connection.default_channel
            message = until(lambda: channel.basic_get(self.queue), 10, "a message to hold")
            yield lambda: channel.qos.restore_by_tag(message.delivery_tag)

    def drop(self) -> None:
        """Remove the queue."""
        with suppress(Exception), self._connection() as connection:
            channel = connection.default_channel
            if hasattr(channel, "client"):  # Redis, where kombu removes what its own process has declared
                names = ("_kombu.binding.", "_kombu.binding_permanent.", "")
                channel.client.delete(*(name + self.queue for name in names))
            else:
                channel.queue_delete(self.queue)

    def _connection(self, **options: Any) -> Any:
        from kombu import Connection

        return Connection(self.url, connect_timeout=5, **options)

    @contextmanager
    def _producer(self) -> Iterator[Any]:
        from kombu import Queue

        with self._connection() as connection:
            Queue(self.queue, routing_key=self.queue, channel=connection.default_channel).declare()
            yield connection.Producer()


def reached(name: str) -> str:
    """Return the URL of the broker `name`; the test is skipped if there is none."""
    found = Broker(URLS[name])
    try:
        socket.create_connection(found.address, 2).close()
    except OSError as error:
        skip_or_fail(f"no {name} at {found.address[0]}:{found.address[1]}: {error}")
    return found.url


class Proxy:
    """A TCP proxy on loopback that can be closed, fall silent, or forget its connections."""

    def __init__(self, host: str, port: int) -> None:
        """Pass on to `host`:`port`."""
        self._target = host, port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._passes = threading.Event()
        self._passes.set()
        self._refuses = False
        self._abandoned: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._passes.clear()

    def abandon(self) -> None:
        """Pass nothing more on between the ends of the present connections, not even that one is closed.

        So a machine behaves that is gone without a word. New connections are served.
        """
        self._abandoned.update(*self._pairs)

    def refuse(self) -> None:
        """End all connections, and end new ones at once."""
        self._refuses = True
        for pair in self._pairs:
            for end in pair:
                _hang_up(end)

    def restore(self) -> None:
        """Pass everything on again."""
        self._refuses = False
        self._passes.set()

    def close(self) -> None:
        """End."""
        self.refuse()
        self._passes.set()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self._refuses:
                client.close()
                continue
            try:
                target = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._pairs.append((client, target))
            if self._refuses:  # since a moment ago
                _hang_up(client)
                _hang_up(target)
            for source, sink in ((client, target), (target, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError), closing(source):
            while data := source.recv(65_536):
                self._passes.wait()
                if source not in self._abandoned:
                    sink.sendall(data)
        if source not in self._abandoned:
            _hang_up(sink)


def _hang_up(end: socket.socket) -> None:
    """End a connection at once. `close` does not end one from which another thread reads."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy in front of a server."""
    made = Proxy(host, port)
    try:
        yield made
    finally:
        made.close()
