"""Acknowledge incidents, test channels, and send messages again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from .. import alerts
from ..alerts import outbox
from ..core.audit import Action, current_actor
from ..models import AlertRule, Channel, Delivery, Incident
from ..records.audit import Changes, record

logger = logging.getLogger("cronzimus.services.alerts")


def acknowledge_incident(incident_id: int, *, now: datetime) -> Incident:
    """Acknowledge an incident, which stops its repetition. Raises `InvalidRequest` if it is over."""
    with transaction.atomic():
        incident = alerts.acknowledge(incident_id, actor=current_actor(), now=now)
        changes = {"kind": (None, str(incident.kind))}
        record(
            Action.INCIDENT_ACKNOWLEDGED, now=now, job_id=incident.job_id or "", object_id=incident.pk,
            changes=changes,
        )  # fmt: skip
    by, extra = current_actor() or "?", {"action": "incident_acknowledged"}
    logger.info("incident %s acknowledged by %s", incident.pk, by, extra=extra)
    return incident


def record_rule(action: Action, name: str, *, now: datetime, changes: Changes | None = None) -> None:
    """Record that a rule was added, changed or removed. Call it in the transaction of the change.

    Incidents that are open then are no news for the rule.
    """
    record(action, now=now, object_id=name, changes=changes)
    for rule in AlertRule.objects.filter(name=name) if action is not Action.RULE_REMOVED else ():
        alerts.keep_quiet(rule, now)


def record_channel(action: Action, name: str, *, now: datetime, changes: Changes | None = None) -> None:
    """Record that a channel was added, changed or removed. Its target is masked: it may hold a secret."""
    record(action, now=now, object_id=name, changes=changes, hide=("target", "secret", "previous_secret"))


@transaction.atomic
def save_rule(
    name: str, values: Mapping[str, Any], *, recipients: str | None, channels: Collection[str] | None, now: datetime,
    changes: Changes,
) -> AlertRule:  # fmt: skip
    """Make or change the rule `name`.

    Args:
        name: its name, which its own e-mail channel has too.
        values: the fields to set; the others stay.
        recipients: the e-mail addresses of its own channel; None for no such channel.
        channels: the names of its other channels; None adds its own channel, and leaves the others.
        now: aware.
        changes: for the record.
    """
    own = [_mail_channel(name, recipients, now=now)] if recipients else []
    rule, is_new = AlertRule.objects.update_or_create(name=name, defaults=dict(values))
    if channels is None:
        rule.channels.add(*own)
    else:
        rule.channels.set([*own, *Channel.objects.filter(name__in=channels)])
    record_rule(Action.RULE_ADDED if is_new else Action.RULE_UPDATED, name, now=now, changes=changes)
    return rule


def _mail_channel(name: str, recipients: str, *, now: datetime) -> Channel:
    channel, is_new = Channel.objects.get_or_create(name=name, defaults={"kind": Channel.EMAIL, "target": recipients})
    if is_new or channel.target != recipients:
        channel.target = recipients
        channel.save(update_fields=["target"])
        action = Action.CHANNEL_ADDED if is_new else Action.CHANNEL_UPDATED
        record_channel(action, name, now=now, changes={"target": (None, recipients)})
    return channel


@transaction.atomic
def send_test(channel: Channel, *, now: datetime) -> Delivery:
    """Put a test message into the outbox; a scheduler delivers it within seconds."""
    record(Action.TEST_SENT, now=now, object_id=channel.name)
    return outbox.put_test(channel, now=now)


@transaction.atomic
def send_again(delivery: Delivery, *, now: datetime) -> Delivery:
    """Put the message of a delivery into the outbox once more."""
    record(Action.MESSAGE_SENT_AGAIN, now=now, object_id=delivery.pk)
    return outbox.put_again(delivery, now=now)
