"""Carry runs to workers through Celery, on Redis or RabbitMQ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..store.dispatch import Dispatch


class CeleryTransport:
    """A producer of Celery's on a connection of its own. Celery is imported with the first message."""

    def __init__(self, url: str) -> None:
        """Send to the broker at `url`."""
        self._url = url
        self._app: Any = None
        self._connection: Any = None
        self._producer: Any = None

    def publish(self, dispatches: Sequence[Dispatch]) -> Mapping[str, Exception]:
        """Send a message for each dispatch; after one that fails, no more: the next call has a new connection."""
        failed: dict[str, Exception] = {}
        lost: Exception | None = None
        for one in dispatches:
            if lost is None:
                try:
                    self._send(one)
                    continue
                except Exception as error:
                    lost = error
                    self.close()
            failed[one.dispatch_id] = lost
        return failed

    def close(self) -> None:
        """Give up the connection."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                connection.collect(socket_timeout=0.1)

    def _send(self, one: Dispatch) -> None:
        from ...worker.broker import TASK, TIMEOUT_SECONDS, make_app, message_of

        if self._app is None:
            self._app = make_app(self._url)
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._connection.connect()
            self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        self._app.send_task(
            TASK, kwargs=message_of(one.run_id, one.dispatch_id), queue=one.queue, task_id=one.dispatch_id,
            headers={"traceparent": one.traceparent} if one.traceparent else None,
            producer=self._producer, retry=False, ignore_result=True,
            timeout=TIMEOUT_SECONDS, confirm_timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
