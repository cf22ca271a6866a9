"""The queues of a worker that its broker refuses: it leaves them out, and serves the others, until they are mended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger("cronzimus.worker")

QUEUE_RECHECK_SECONDS = 5.0
"""Time between two checks whether the broker takes a refused queue again."""


class RefusedQueues:
    """Chooses the queues that a worker's consumers serve.

    A broker refuses a queue where something else has its name: on RabbitMQ a queue of another type, on Redis a key that
    is not a list. An error of that kind names no queue.
    """

    def __init__(self, app: Any, serve: Callable[[Sequence[str]], None]) -> None:
        """Choose for the consumers of `app`; `serve` is called with the names of the queues that are left."""
        self._app, self._serve = app, serve
        self._all = dict(app.amqp.queues.consume_from)
        self._refused: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._refused)

    def leave_out(self, connection: Any) -> None:
        """Have the next consumer serve the queues that the broker of `connection` takes. Say once why not all."""
        refused = self._find(connection)
        for name in refused.keys() - self._refused.keys():
            message = (
                "queue %s is not served, because the broker refuses it: %s. If something else has this name on the "
                "broker, remove it, or give the jobs another queue. It is tried again every %d s"
            )
            logger.error(message, name, refused[name], QUEUE_RECHECK_SECONDS, extra={"action": "queue_refused"})
        for name in self._refused.keys() - refused.keys():
            logger.info("queue %s is served again", name, extra={"action": "queue_served"})
        self._refused = refused
        queues = self._app.amqp.queues
        queues.select(list(self._all))
        queues.deselect(list(refused))
        self._serve([name for name in self._all if name not in refused])

    def look_again(self) -> None:
        """Raise `ConnectionResetError` if the broker takes one of them again: the consumer has to connect anew.

        It has a connection of its own, because the consumer's may lead to a server that is not the main one any more.
        """
        connection = self._app.connection_for_read()
        try:
            with connection:
                found = self._find(connection)
        except (OSError, *connection.connection_errors):
            return  # the consumer finds out by itself
        if self._refused.keys() - found.keys():
            raise ConnectionResetError("a queue can be served again")

    def _find(self, connection: Any) -> dict[str, str]:
        refused = {}
        for name, queue in self._all.items():
            try:
                with connection.channel() as channel:
                    queue(channel).declare()
            except connection.channel_errors as error:
                refused[name] = str(error)[:200]
        return refused
