"""The next fire time of a job, from its trigger, its pause, its earlier runs and its `max_runs`."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection

from ..definitions.triggers import trigger_of
from ..models import Job

BEFORE_ALL = datetime(1, 1, 2, tzinfo=UTC)
"""An instant before all fire times."""


def has_runs_left(job: Job) -> bool:
    """Tell whether `max_runs` allows one more scheduled run."""
    return job.max_runs is None or job.claimed_count < job.max_runs


def next_after(job: Job, instant: datetime) -> datetime | None:
    """Return the first fire time after `instant` that has no run yet, not even a skipped one.

    Raises `InvalidTrigger` if the job's row is damaged.
    """
    if not has_runs_left(job):
        return None
    trigger = trigger_of(job)
    at = trigger.next_after(instant)
    while at is not None and _is_on_record(job.id, at):
        at = trigger.next_after(at)
    return at


def first_fire_time(job: Job, now: datetime) -> datetime | None:
    """Return the first fire time of a trigger that the job got at `now`."""
    # A date that was accepted although it has just passed is due at once.
    return next_after(job, BEFORE_ALL if job.trigger["type"] == "date" else now)


def anchor_at(now: datetime) -> datetime:
    """Return the anchor of a trigger that a job gets at `now`.

    It has whole seconds: fire times are easier to read, and every database stores them exactly.
    """
    return now.replace(microsecond=0)


def _is_on_record(job_id: str, at: datetime) -> bool:
    # Plain SQL: Django takes as long to build this query as for all the rest of adding a job.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM cronzimus_run WHERE job_id = %s AND scheduled_time = %s LIMIT 1",
            [job_id, connection.ops.adapt_datetimefield_value(at)],
        )
        return cursor.fetchone() is not None
