"""Deliver the messages of the outbox outside of the scheduler's loop: a slow receiver never delays a run."""

from __future__ import annotations

import logging
from datetime import timedelta

from ..conf import conf
from ..core.alerts import Reason
from ..core.clock import Clock
from ..models import Delivery, Scheduler
from . import outbox

logger = logging.getLogger("cronzimus.alerts.delivery")

BATCH = 10
"""Messages that are taken at a time."""
BATCH_SECONDS = 5.0
"""Time after which no further message of a batch is begun."""
PING_EVERY = timedelta(minutes=1)
"""Time between two pings of the dead man's switch."""
PING_TIMEOUT_SECONDS = 10.0


class Deliverer:
    """Delivers due messages, and pings the dead man's switch once a minute."""

    def __init__(self, clock: Clock) -> None:
        """Prepare to deliver; nothing is read yet."""
        self._clock = clock
        self._ping_at = clock.monotonic()

    def deliver_due(self) -> int:
        """Deliver up to `BATCH` due messages, and return their number.

        After `BATCH_SECONDS` the rest of them are due again: another task may wait for this thread. The other messages
        of a channel that fails are postponed: a dead receiver must not hold up the others.
        """
        taken = outbox.take(BATCH, now=self._clock.now())
        end = self._clock.monotonic() + BATCH_SECONDS
        failed: set[int] = set()
        for number, delivery in enumerate(taken):
            if delivery.channel_id in failed:
                continue
            if self._clock.monotonic() >= end:
                rest = [one for one in taken[number:] if one.channel_id not in failed]
                outbox.give_back(rest, now=self._clock.now())
                break
            if not delivery.channel.enabled and delivery.reason != Reason.TEST:
                outbox.drop(delivery, "the channel is off")
            elif outbox.hold(delivery, now=self._clock.now()) and not self._deliver(delivery):
                failed.add(delivery.channel_id)
                same = [one for one in taken[number + 1 :] if one.channel_id == delivery.channel_id]
                outbox.postpone(delivery.channel_id, same, now=self._clock.now())
        return len(taken)

    def _deliver(self, delivery: Delivery) -> bool:
        """Try to deliver a message, record the attempt, and return whether it was delivered."""
        from . import channels  # here: a scheduler without alerts need not load the HTTP client

        target = delivery.channel.target
        began = self._clock.monotonic()
        try:
            response = channels.send(delivery, self._clock)
        except Exception as error:
            seconds = self._clock.monotonic() - began
            text = str(error) if isinstance(error, channels.NotDelivered) else f"{type(error).__name__}: {error}"
            said = channels.without_path(text, target)
            outbox.refused(delivery, said, seconds, now=self._clock.now())
            extra = {"action": "alert_not_delivered", "delivery": delivery.pk}
            logger.warning("alert %s to %s was not delivered: %s", delivery.pk, delivery.channel, said, extra=extra)
            return False
        outbox.delivered(delivery, response, self._clock.monotonic() - began, now=self._clock.now())
        logger.info("alert %s delivered to %s", delivery.pk, delivery.channel, extra={"action": "alert_delivered"})
        return True

    def ping_while_jobs_run(self) -> None:
        """Ping as `ping` does, but only while a scheduler holds its lease.

        This thread goes on where the scheduler's loop hangs, or the database is gone: then the switch has to trip.
        Raises `DatabaseError` without the database.
        """
        due = conf.ALERT_PING_URL and self._clock.monotonic() >= self._ping_at
        if due and Scheduler.objects.alive(self._clock.now()).exists():
            self.ping()

    def ping(self) -> None:
        """Request ALERT_PING_URL, at most once a minute. A failure is only logged."""
        if not conf.ALERT_PING_URL or self._clock.monotonic() < self._ping_at:
            return
        from ..functions.http.client import Request, fetch, parse_target
        from ..functions.http.guard import Guard
        from . import channels

        self._ping_at = self._clock.monotonic() + PING_EVERY.total_seconds()
        guard = Guard(allowed=conf.JOB_HTTP_ALLOWED_NETWORKS, timeout=PING_TIMEOUT_SECONDS, clock=self._clock)
        request = Request(method="GET", url=parse_target(conf.ALERT_PING_URL), headers={"user-agent": "Cronzimus"})
        try:
            fetch(request, guard, expected=range(200, 300), max_redirects=3)
        except Exception as error:
            said = channels.without_path(str(error), conf.ALERT_PING_URL)
            logger.warning("ALERT_PING_URL does not answer: %s", said, extra={"action": "alert_ping_failed"})
