"""Queue the next attempt of runs that did not succeed, where their jobs have retries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection

from ...core.retries import RETRIED, Retries, retry_delay
from ...core.runs import RunTrigger
from ...models import Run
from . import bulk

logger = logging.getLogger("cronzimus.scheduler.store.retries")

COPIED = "job_id, func, args, kwargs, scheduled_time, executor, timeout, priority, concurrency_group"
"""The columns that an attempt has from the one before."""


def queue_retries(run_ids: Sequence[int], now: datetime) -> None:
    """Write, for each of the runs that is to be tried again, a queued run with the next attempt's number.

    Two statements for any number of runs. Call it in the transaction in which they ended.
    """
    ended = Run.objects.filter(
        id__in=run_ids, status__in=RETRIED, cancel_requested_at__isnull=True, job__retries__isnull=False
    )
    rows = []
    for run_id, attempt, definition in ended.values_list("id", "attempt", "job__retries"):
        delay = _delay(definition, attempt, run_id)
        if delay is not None:
            rows.append({"id": run_id, "available_at": now + delay})
    if rows:
        source, data = bulk.rows_as_table({"id": "number", "available_at": "time"}, rows)
        with connection.cursor() as cursor:
            cursor.execute(_sql(connection.vendor, source), [RunTrigger.RETRY, bulk.instant(now), data])


def _delay(definition: Any, attempt: int, run_id: int) -> timedelta | None:
    try:
        return retry_delay(Retries.of(definition), attempt, key=str(run_id))
    except (TypeError, ValueError, OverflowError):
        # One damaged row must not keep the ends of other runs from being written.
        logger.exception("run %s: its job's retries can not be understood", run_id, extra={"action": "job_broken"})
        return None


@cache
def _sql(vendor: str, source: str) -> str:
    at = "%s::timestamptz" if vendor == "postgresql" else "%s"
    copied = ", ".join(f"r.{name}" for name in COPIED.split(", "))
    return (
        f"INSERT INTO cronzimus_run ({COPIED}, status, reason, trigger, actor, attempt, fire_times, queued_at, "  # noqa: S608
        "available_at, error, traceback, output) "
        f"SELECT {copied}, 'queued', '', %s, '', r.attempt + 1, r.fire_times, {at}, v.available_at, '', '', '' "
        f"FROM {source} JOIN cronzimus_run r ON r.id = v.id WHERE true "
        "ON CONFLICT (job_id, scheduled_time, attempt) DO NOTHING"
    )
