"""Connect a worker to its broker, and again after an outage, however long it takes."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer
from celery.worker.consumer.consumer import CONNECTION_RETRY
from celery.worker.state import maybe_shutdown

logger = logging.getLogger("cronzimus.worker")

RETRY_SECONDS = 2.0
"""Time between two attempts to connect. Celery's own pause grows up to 30 s, in which no run would start."""
STOP_CHECK_SECONDS = 0.5
"""Time between two checks, in such a pause, whether the worker is told to stop."""

# Celery says so of each lost connection, and here the outage is logged, once.
logging.getLogger(Consumer.__module__).addFilter(lambda record: CONNECTION_RETRY not in (record.args or ()))


class ReconnectingConsumer(Consumer):
    """A consumer that tries to connect every few seconds, whatever the broker answers: somebody may mend it.

    The log has one line for the beginning of an outage, one for each further reason, and one for its end. Celery itself
    ends the worker with a traceback where the password is wrong, and tries again without a pause where a virtual host
    is missing.
    """

    _connected_at = -RETRY_SECONDS
    _is_ready = False
    _lost: Exception | None = None
    _out_since: float | None = None
    _told: frozenset[str] = frozenset()

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection `conn` once it is connected."""
        pause(self._connected_at + RETRY_SECONDS)  # the last one may have broken at once
        errors = (OSError, *conn.connection_errors, *conn.channel_errors)
        while True:
            try:
                conn.ensure_connection(max_retries=0, reraise_as_library_errors=False)
            except errors as error:
                self._fail(conn, error)
                pause(time.monotonic() + RETRY_SECONDS)
            else:
                self._connected_at, self._is_ready = time.monotonic(), False
                self.first_connection_attempt = False
                return conn

    def on_ready(self) -> None:
        """Note that messages come."""
        super().on_ready()
        if self._out_since is not None:
            seconds = time.monotonic() - self._out_since
            logger.info("the worker has the broker again after %.0f s", seconds, extra={"action": "broker_reached"})
        elif self._lost is not None:
            extra = {"action": "broker_reconnected"}
            logger.warning("the connection to the broker broke, and is back: %s", _reason(self._lost), extra=extra)
        self._is_ready, self._lost, self._out_since, self._told = True, None, None, frozenset()

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Tidy up after a connection, and log its end if it never worked. Otherwise the next attempt may succeed.

        It may do so, too, after a first refusal of the broker's, without the queue that it refuses.
        """
        if self._is_ready or (self._lost is None and isinstance(exc, self.channel_errors)):
            self._lost = exc
        else:
            self._fail(self.connection, exc)
        with warnings.catch_warnings():  # of a setting that we have pinned
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)

    def _fail(self, conn: Any, error: Exception) -> None:
        reason = _reason(error)
        if self._out_since is None:
            self._out_since = time.monotonic()
        level = logging.DEBUG if reason in self._told else logging.ERROR
        self._told |= {reason}
        message = "the worker cannot reach the broker at %s: %s; it tries again every %.0f s"
        extra = {"action": "broker_unreachable"}
        logger.log(level, message, conn.as_uri(), reason, RETRY_SECONDS, extra=extra)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def pause(until: float) -> None:
    """Wait until the monotonic time `until`; raise the exception with which a worker ends if it is told to stop."""
    while True:
        maybe_shutdown()
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, STOP_CHECK_SECONDS))
