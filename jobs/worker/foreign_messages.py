"""Warn of messages that another site has sent: two sites on one broker take each other's, and runs stand still."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import inf

from ..core.clock import Clock
from ..scheduler.store.dispatch import Dispatch, never_sent

logger = logging.getLogger("cronzimus.worker")

REPEAT_SECONDS = 60.0
"""Time between two warnings."""


class ForeignMessages:
    """Looks for other sites' messages among those that started nothing: most of these are of runs that have started."""

    def __init__(self, clock: Clock, queues: Sequence[str]) -> None:
        """Look at messages of `queues`."""
        self._clock, self._queues = clock, queues
        self._next_at = -inf

    def warn(self, dispatches: Sequence[Dispatch]) -> None:
        """Warn if this database knows nothing of a message. Raises the errors of the database."""
        if not dispatches or self._clock.monotonic() < self._next_at:
            return
        if found := never_sent(dispatches):
            self._next_at = self._clock.monotonic() + REPEAT_SECONDS
            message = (
                "dropped a message for run %d that this database has not sent: another site uses a queue of this "
                "worker (%s) on the same broker, or the run was deleted. Give each site a virtual host of RabbitMQ, or "
                "a number of a database of Redis, of its own"
            )
            extra = {"action": "message_of_another_site", "run": found[0].run_id}
            logger.warning(message, found[0].run_id, ", ".join(self._queues), extra=extra)
