"""Delete old records of people's actions and of alerts: the audit, versions, incidents and deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from ...conf import conf
from ...core.alerts import DeliveryState
from ...models import AuditEvent, Delivery, Incident, JobVersion

BATCH = 500
"""Rows of one table that are deleted in one transaction."""


def prune_records(now: datetime, limit: int = BATCH) -> bool:
    """Delete up to `limit` old rows of each table, the oldest first; return whether there may be more."""
    deleted = [_delete(rows, limit) for rows in _old(now)]
    return limit in deleted


def _old(now: datetime) -> Iterator[QuerySet[Any]]:
    """Yield the rows of each table that are too old at `now`, in the order of an index."""
    told_before, done_before = now - timedelta(days=conf.ALERT_DAYS), now - timedelta(days=conf.AUDIT_DAYS)
    yield AuditEvent.objects.filter(at__lt=done_before).order_by("at", "id")
    yield JobVersion.objects.filter(expires_at__lt=now).order_by("expires_at")
    # Messages first: an incident would take all its messages with it in one large transaction.
    yield (
        Delivery.objects.filter(created_at__lt=told_before).exclude(state=DeliveryState.PENDING).order_by("created_at")
    )
    untold = ~Exists(Delivery.objects.filter(incident_id=OuterRef("pk")))
    yield Incident.objects.filter(untold, recovered_at__lt=told_before).order_by("recovered_at")


def _delete(rows: QuerySet[Any], limit: int) -> int:
    with transaction.atomic():
        # Rows that another scheduler is deleting are left to it.
        ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
        if ids:
            rows.model._base_manager.filter(pk__in=ids).delete()
    return len(ids)
