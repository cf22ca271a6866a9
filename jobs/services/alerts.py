"""Acknowledge incidents, test channels, and send messages again."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from .. import alerts
from ..alerts import outbox
from ..models import Channel, Delivery, Incident

logger = logging.getLogger("cronzimus.services.alerts")


def acknowledge_incident(incident_id: int, *, now: datetime, actor: str = "") -> Incident:
    """Acknowledge an incident: it is not repeated any more. Raises `InvalidRequest` if it is over."""
    incident = alerts.acknowledge(incident_id, actor=actor, now=now)
    logger.info("incident %s acknowledged by %s", incident.pk, actor or "?", extra={"action": "incident_acknowledged"})
    return incident


@transaction.atomic
def send_test(channel: Channel, *, now: datetime) -> Delivery:
    """Put a message into the outbox that says that it is a test; a scheduler delivers it within seconds."""
    return outbox.put_test(channel, now=now)


@transaction.atomic
def send_again(delivery: Delivery, *, now: datetime) -> Delivery:
    """Put the message of a delivery into the outbox once more."""
    return outbox.put_again(delivery, now=now)
