"""The backend: Django looks for its `DatabaseWrapper` here."""

from __future__ import annotations

from select import POLLIN, poll

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that sees from its socket whether the server is still there."""

    def is_usable(self) -> bool:
        """Tell whether the connection can be used.

        Django asks this before the first query of each request, at the price of a round trip. But a server that stops
        sends a last message and closes the connection, and keepalives notice that its machine has died. Both make the
        socket readable: if there is nothing to read, and no query has failed, the server is there.
        """
        is_open = self.connection is not None and not self.connection.closed
        if is_open and not self.errors_occurred and not _has_news(self.connection.fileno()):
            return True
        return super().is_usable()


def _has_news(socket: int) -> bool:
    poller = poll()
    poller.register(socket, POLLIN)
    return bool(poller.poll(0))
