"""Carry runs to workers through Celery, on Redis or RabbitMQ."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

from django.core.checks import CheckMessage, Error

from ..store.dispatch import Dispatch

NEEDED = {"celery": "5.7", "kombu": "5.7"}
"""The oldest versions that can send runs to workers: with kombu 5.6 a worker starts only 1 to 13 runs a second."""


class MessageRefused(ConnectionError):
    """RabbitMQ answered that it did not take a message, such as one for a full queue."""


class CeleryTransport:
    """A producer of Celery's on a connection of its own. Celery is imported with the first call."""

    def __init__(self, url: str) -> None:
        """Send to the broker at `url`."""
        self._url = url
        self._app: Any = None
        self._connection: Any = None
        self._producer: Any = None
        self._confirmations: Confirmations | None = None

    def check(self) -> Sequence[CheckMessage]:
        """Report missing and outdated packages (cronzimus.E008). Nothing of Celery is loaded."""
        return [
            Error(
                "CELERY_BROKER_URL is set, "
                f"and {name} {version or 'is not installed'}{' is too old' if version else ''}.",
                hint=f"Install cronzimus[celery], or requirements-celery.txt: {name} {wanted} or later.",
                id="cronzimus.E008",
            )
            for name, wanted in NEEDED.items()
            if _is_older(version := _installed(name), wanted)
        ]

    def connect(self) -> None:
        """Connect, so that the first message need not wait for that. Raises the error of the broker, or of Celery."""
        try:
            self._connect()
        except Exception:
            self.close()
            raise

    def publish(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        """Send a message for each dispatch, in one go: they cost one wait for the broker.

        Where that fails, any of them may have been sent, or none. The next call has a new connection. Where the broker
        refuses one of several queues, each queue is tried by itself.
        """
        try:
            if self._producer is None:
                self._connect()
            self._send_all(dispatches)
        except Exception as error:
            cause = error.__cause__  # kombu says of a batch only that it failed
            reason = cause if isinstance(cause, Exception) else error
            refusals = (MessageRefused, *(() if self._connection is None else self._connection.channel_errors))
            self.close()
            if isinstance(reason, refusals) and len({dispatch.queue for dispatch in dispatches}) > 1:
                return self._publish_by_queue(dispatches)
            return dict.fromkeys((dispatch.dispatch_id for dispatch in dispatches), reason)
        return {}

    def _publish_by_queue(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        errors: dict[str, Exception] = {}
        for queue in sorted({dispatch.queue for dispatch in dispatches}):
            errors |= self.publish([dispatch for dispatch in dispatches if dispatch.queue == queue])
        return errors

    def close(self) -> None:
        """Give up the connection."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                connection.collect(socket_timeout=0.1)

    def _connect(self) -> None:
        from ..broker import make_app

        if self._app is None:
            self._app = make_app(self._url)
        self._connection = self._app.connection_for_write()
        # One try: `connect()` tries again two seconds later, and the publisher has pauses of its own.
        self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        channel = self._producer.channel
        # Redis answers each command. RabbitMQ says what it has of what it is sent, if it is asked to.
        self._confirmations = Confirmations(channel) if hasattr(channel, "confirm_select") else None

    def _send_all(self, dispatches: Sequence[Dispatch]) -> None:
        from ..broker import TASK, TIMEOUT_SECONDS, message_of

        if self._confirmations is not None:
            self._confirmations.expect(len(dispatches))
        with self._producer.batch():
            for dispatch in dispatches:
                self._app.send_task(
                    TASK, kwargs=message_of(dispatch.run_id, dispatch.dispatch_id),
                    queue=dispatch.queue, task_id=dispatch.dispatch_id,
                    headers={"traceparent": dispatch.traceparent} if dispatch.traceparent else None,
                    producer=self._producer, retry=False, ignore_result=True, mandatory=True, timeout=TIMEOUT_SECONDS,
                    argsrepr="", kwargsrepr="",  # how Celery would print them: a third of the CPU of a message
                )  # fmt: skip
        if self._confirmations is not None:
            self._confirmations.wait(TIMEOUT_SECONDS)


class Confirmations:
    """RabbitMQ's word that it has what was published on a channel. It may come early, late, and for many messages."""

    def __init__(self, channel: Any) -> None:
        """Ask for it."""
        self._channel = channel
        self._published = 0
        self._missing: set[int] = set()
        self._is_refused = False
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.confirm_select()

    def expect(self, number: int) -> None:
        """Expect it for the `number` messages that are published next: the channel numbers them from 1."""
        first = self._published + 1
        self._published += number
        self._missing.update(range(first, first + number))

    def wait(self, seconds: float) -> None:
        """Wait until the broker has all of them. Raises `OSError` if it refuses one, or is silent for so long."""
        deadline = time.monotonic() + seconds
        while self._missing:
            self._channel.connection.drain_events(timeout=max(deadline - time.monotonic(), 0.001))
            if self._is_refused:
                raise MessageRefused("it refused a message")

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._missing -= {number for number in self._missing if number <= tag} if multiple else {tag}

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._is_refused = True


def _installed(name: str) -> str:
    """Return the version of a package, "" if it is missing. The package itself is not loaded."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _is_older(version: str, wanted: str) -> bool:
    return [int(part) for part in re.findall(r"\d+", version)[:2]] < [int(part) for part in wanted.split(".")]
