"""The outbox: a row for each message, written in the transaction of its event, for any scheduler to deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from django.db import connection, transaction
from django.db.models import QuerySet

from ..core.alerts import DeliveryState, Reason, next_attempt, quiet_until
from ..models import AlertRule, Channel, Delivery, Incident, Run

LEASE = timedelta(seconds=60)
"""Time for which a delivery belongs to the scheduler that took or holds it: longer than any attempt."""


class Message(NamedTuple):
    """A message about an incident to the channels of a rule."""

    incident: Incident
    rule: AlertRule
    reason: Reason


def put(messages: Sequence[Message], now: datetime) -> None:
    """Write messages to each channel of their rules. In the quiet hours of its rule a message waits for their end."""
    if not messages:
        return
    runs = {run for message in messages if (run := message.incident.last_run) is not None}
    statuses: dict[int | None, str] = dict(Run.objects.filter(pk__in=runs).values_list("pk", "status"))
    rows = []
    for incident, rule, reason in messages:
        due_at = quiet_until(now, rule.quiet_from, rule.quiet_until, rule.zone) or now
        status = statuses.get(incident.last_run)
        rows += [
            Delivery(
                channel=channel, incident=incident, rule=rule, reason=reason, created_at=now, next_attempt_at=due_at,
                payload=payload_of(incident, rule.name, reason, now, status=status),
            )
            for channel in rule.channels.all() if channel.enabled
        ]  # fmt: skip
    Delivery.objects.bulk_create(rows)


def put_test(channel: Channel, *, now: datetime) -> Delivery:
    """Write a test message, and return it."""
    payload = _event(
        Reason.TEST, now, subject=None, data={"reason": Reason.TEST, "text": "This is a test of Cronzimus."}
    )
    return Delivery.objects.create(
        channel=channel, reason=Reason.TEST, created_at=now, next_attempt_at=now, payload=payload
    )


def put_again(delivery: Delivery, *, now: datetime) -> Delivery:
    """Write the message of a delivery once more, and return it. The event's id stays, so that receivers can tell."""
    return Delivery.objects.create(
        channel=delivery.channel, incident=delivery.incident, rule=delivery.rule, reason=delivery.reason,
        created_at=now, next_attempt_at=now, payload=delivery.payload,
    )  # fmt: skip


def drop_unheard(incidents: Sequence[Incident], now: datetime) -> set[tuple[Any, Any]]:
    """Drop the messages of ended incidents that wait for the end of quiet hours.

    Return the key of the incident and of the rule for each pair of which nobody has heard.
    """
    all_of_them = Delivery.objects.filter(incident__in=incidents)
    waiting = all_of_them.filter(state=DeliveryState.PENDING, attempts=0, next_attempt_at__gt=now)
    silent = set(waiting.values_list("incident_id", "rule_id"))
    if not silent:
        return silent
    waiting.update(state=DeliveryState.DROPPED, next_attempt_at=None, response="recovered in quiet hours")
    heard = all_of_them.exclude(state=DeliveryState.DROPPED)
    return silent - set(heard.values_list("incident_id", "rule_id"))


def take(limit: int, *, now: datetime) -> list[Delivery]:
    """Return up to `limit` deliveries that are due, each taken by this process for `LEASE`.

    If the process dies, they are due again after the lease, so that each is delivered at least once.
    """
    due = Delivery.objects.due(now).select_related("channel", "incident")
    if not due.exists():  # most often: SQLite's transaction would take the lock that runs are claimed under
        return []
    with transaction.atomic():
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True, of=("self",))
        taken = list(due[:limit])
        Delivery.objects.filter(pk__in=[one.pk for one in taken]).update(next_attempt_at=now + LEASE)
    for one in taken:
        one.next_attempt_at = now + LEASE
    return taken


def hold(delivery: Delivery, *, now: datetime) -> bool:
    """Hold a taken delivery for `LEASE` from now on; return whether it still belongs to this process.

    The deliveries before it may have taken so long that another process has taken it.
    """
    held = Delivery.objects.filter(
        pk=delivery.pk, state=DeliveryState.PENDING, next_attempt_at=delivery.next_attempt_at
    )
    return bool(held.update(next_attempt_at=now + LEASE))


def give_back(deliveries: Sequence[Delivery], *, now: datetime) -> None:
    """Let deliveries that one call of `take` has returned, and that nobody has held since, be due at once."""
    if deliveries:
        _still_taken(deliveries).update(next_attempt_at=now)


def postpone(channel_id: int, taken: Sequence[Delivery], *, now: datetime) -> None:
    """Let the messages to a channel that just failed wait for the first backoff: those `taken`, and all that are due.

    It is no attempt of theirs.
    """
    again = next_attempt(1, now)
    if taken:
        _still_taken(taken).update(next_attempt_at=again)
    Delivery.objects.due(now).filter(channel_id=channel_id).update(next_attempt_at=again)


def _still_taken(deliveries: Sequence[Delivery]) -> QuerySet[Delivery]:
    """Return the deliveries of one call of `take` that nobody has taken or held since."""
    ids, lease = [one.pk for one in deliveries], deliveries[0].next_attempt_at
    return Delivery.objects.filter(pk__in=ids, state=DeliveryState.PENDING, next_attempt_at=lease)


def drop(delivery: Delivery, reason: str) -> None:
    """Record that a message is not delivered, and the reason."""
    Delivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.DROPPED, next_attempt_at=None, response=reason)


def delivered(delivery: Delivery, response: str, seconds: float, *, now: datetime) -> None:
    """Record that a message was delivered."""
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.DELIVERED, attempts=delivery.attempts + 1, delivered_at=now, next_attempt_at=None,
        response=response[:1000], seconds=seconds,
    )  # fmt: skip


def refused(delivery: Delivery, response: str, seconds: float, *, now: datetime) -> None:
    """Record that an attempt failed. The next one follows with a backoff, unless it was the last."""
    attempts = delivery.attempts + 1
    again = next_attempt(attempts, now)
    Delivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.FAILED if again is None else DeliveryState.PENDING, attempts=attempts,
        next_attempt_at=again, response=response[:1000], seconds=seconds,
    )  # fmt: skip


def payload_of(incident: Incident, rule: str, reason: Reason, now: datetime, *, status: str | None) -> dict[str, Any]:
    """Return the content of a message: an event of CloudEvents 1.0, in its JSON format.

    `status` is that of the incident's last run; None if it has none.
    """
    data: dict[str, Any] = {
        "reason": reason, "rule": rule, "incident": incident.pk, "kind": incident.kind, "job": incident.job_id,
        "count": incident.count, "error": incident.error, "opened_at": incident.opened_at.isoformat(),
        "run": incident.last_run, "run_status": status,
        "text": sentence(incident, reason),
    }  # fmt: skip
    return _event(reason, now, subject=incident.job_id, data=data)


def _event(reason: Reason, now: datetime, *, subject: str | None, data: Mapping[str, Any]) -> dict[str, Any]:
    event = {
        "specversion": "1.0", "id": str(uuid4()), "source": "/cronzimus", "type": f"cronzimus.incident.{reason}",
        "time": now.isoformat(), "datacontenttype": "application/json", "data": dict(data),
    }  # fmt: skip
    return event | ({"subject": subject} if subject else {})


def sentence(incident: Incident, reason: Reason) -> str:
    """Return the message in one sentence."""
    job = f"job {incident.job_id}" if incident.job_id else "Cronzimus"
    if reason is Reason.RECOVERED:
        return f"{job} has recovered from: {incident.error or incident.kind}"
    if incident.kind == "failure":
        times = "once" if incident.count == 1 else f"{incident.count} times in a row"
        again = {Reason.CHANGED: ", now with another error", Reason.REPEATED: " and still fails"}.get(reason, "")
        return f"{job} failed {times}{again}: {incident.error or 'no error was recorded'}"
    return f"{job}: {incident.error}"
